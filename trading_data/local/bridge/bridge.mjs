// A PostgreSQL server with one session: TimescaleDB in WebAssembly, which many clients use in turn.
// Belongs here: the command line, start and stop. Does not: turns (`hub.mjs`), connections (`client.mjs`), the engine
// (`engine.mjs`).
import fs from 'node:fs';
import net from 'node:net';
import { parseArgs } from 'node:util';
import { Client } from './client.mjs';
import { Hub } from './hub.mjs';
import { EngineThread } from './thread.mjs';

const { values: options } = parseArgs({
  options: {
    modules: { type: 'string' }, // folder whose node_modules has the engine
    data: { type: 'string' },
    port: { type: 'string' },
    database: { type: 'string', default: 'trading' },
    'idle-in-transaction': { type: 'string', default: '60' }, // seconds, while another client waits
    'checkpoint-seconds': { type: 'string', default: '60' },
    'checkpoint-megabytes': { type: 'string', default: '64' },
    'make-only': { type: 'boolean', default: false }, // create the data folder, then exit
  },
});

const limits = {
  idleMs: Number(options['idle-in-transaction']) * 1000,
  checkpointMs: Number(options['checkpoint-seconds']) * 1000,
  checkpointBytes: Number(options['checkpoint-megabytes']) * 1024 * 1024,
};

const log = (line) => process.stderr.write(`${new Date().toISOString()} bridge: ${line}\n`);

function die(why) {
  log(why);
  process.exit(1);
}

if (!fs.existsSync(options.data)) await EngineThread.start('create', options, die);
if (options['make-only']) process.exit();
const hub = new Hub(await EngineThread.start('serve', options, die), options.database, limits, log);
await hub.begin();
let number = 0;
const server = net.createServer((socket) => hub.join(new Client(socket, ++number, hub)));
server.on('error', (error) => die(`cannot listen on port ${options.port}: ${error.message}`));
server.listen(Number(options.port), '127.0.0.1', () => log(`ready on port ${options.port}, process ${process.pid}`));
process.on('SIGTERM', () => {
  server.close();
  hub.close();
});
