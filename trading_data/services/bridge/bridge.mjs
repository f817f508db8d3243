// A PostgreSQL server with one session: many clients taking turns at the engine in `engine.mjs`.
// Belongs here: turns, time limits, checkpoints, the orderly end. Does not: cutting what clients say (`client.mjs`),
// what the session remembers of each (`session.mjs`).
//
// A client owns the session from its request until the engine is outside a transaction again; the others wait in the
// order in which their requests were complete.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Blocks, Client } from './client.mjs';
import { message, query, withoutCopyInResponse } from './protocol.mjs';
import { Session } from './session.mjs';

const { values: options } = parseArgs({
  options: {
    modules: { type: 'string' }, // folder whose node_modules has the engine
    data: { type: 'string' },
    port: { type: 'string' },
    database: { type: 'string', default: 'trading' },
    'idle-in-transaction': { type: 'string', default: '60' }, // seconds, while somebody waits
    'checkpoint-seconds': { type: 'string', default: '60' },
    'checkpoint-megabytes': { type: 'string', default: '64' },
  },
});
const IDLE_MS = Number(options['idle-in-transaction']) * 1000;
const CHECKPOINT_MS = Number(options['checkpoint-seconds']) * 1000;
const CHECKPOINT_BYTES = Number(options['checkpoint-megabytes']) * 1024 * 1024;
const UNREAD_LIMIT = 64 * 1024 * 1024; // bytes on their way to a client before the engine waits for it to read

const STOPPING = 'terminating connection due to administrator command';

const log = (line) => process.stderr.write(`${new Date().toISOString()} bridge: ${line}\n`);

function die(why) {
  log(why);
  process.exit(1);
}

/** The engine's thread: one exchange at a time. */
class Engine {
  walBytes = 0; // written to the log since the start
  #worker;
  #exchange = null;

  static async start(task) {
    const worker = new Worker(new URL('./engine.mjs', import.meta.url), {
      workerData: { task, unreadLimit: UNREAD_LIMIT, ...options, data: path.resolve(options.data) },
      resourceLimits: { stackSizeMb: 16 }, // for deeply nested SQL
    });
    worker.on('error', (error) => die(error.stack ?? String(error)));
    const engine = new Engine();
    engine.#worker = worker;
    worker.on('message', (said) => engine.#hear(said));
    if (task === 'serve') await once(worker, 'message');
    else await once(worker, 'exit');
    return engine;
  }

  /** Whether the exchange under way waits for its client to read. */
  get blocked() {
    return this.#exchange !== null && Atomics.load(this.#exchange.unread, 0) > UNREAD_LIMIT;
  }

  /** Hand over an exchange; each piece of the reply goes to `deliver(piece, taken)`. The transaction's status after it. */
  run(blocks, deliver) {
    const unread = new Int32Array(new SharedArrayBuffer(4));
    return new Promise((done) => {
      this.#exchange = { unread, deliver, done };
      this.#worker.postMessage({ blocks, unread }, blocks.map((block) => block.buffer));
    });
  }

  /** Hand over messages of the bridge's own; the whole reply. */
  async ask(messages) {
    const reply = [];
    const blocks = messages.reduce((all, bytes) => all.add(bytes), new Blocks()).finish();
    await this.run(blocks, (piece, taken) => {
      reply.push(piece);
      taken();
    });
    return Buffer.concat(reply);
  }

  async close() {
    this.#worker.postMessage({ close: true });
    await once(this.#worker, 'message');
  }

  #hear(said) {
    if (said.died) die(said.died);
    if (said.piece) {
      const { unread, deliver } = this.#exchange;
      deliver(Buffer.from(said.piece.buffer, 0, said.piece.length), () => {
        Atomics.sub(unread, 0, said.piece.length);
        Atomics.notify(unread, 0);
      });
    } else if (said.done !== undefined) {
      this.walBytes = said.walBytes;
      const { done } = this.#exchange;
      this.#exchange = null;
      done(said.done);
    }
  }
}

/** Whose turn it is. */
class Hub {
  database = options.database;
  #engine;
  #session;
  #clients = new Set();
  #waiting = []; // clients with something for the engine to do, in order
  #owner = null;
  #status = 'I'; // of the owner's transaction; empty between two parts of an extended exchange
  #running = false;
  #closing = false;
  #checkpointed = 0; // the engine's walBytes then
  #checkpointTimer = null;
  #checkpointDue = false;
  #idleTimer = null;

  constructor(engine) {
    this.#engine = engine;
    this.#session = new Session((messages) => engine.ask(messages));
  }

  async begin() {
    this.parameters = {
      server_version: await this.#session.begin(),
      server_encoding: 'UTF8',
      client_encoding: 'UTF8',
      DateStyle: 'ISO, MDY',
      TimeZone: 'UTC',
      IntervalStyle: 'postgres',
      integer_datetimes: 'on',
      standard_conforming_strings: 'on',
      default_transaction_read_only: 'off',
      in_hot_standby: 'off',
      is_superuser: 'on',
      session_authorization: 'postgres',
      application_name: '',
    };
    this.#checkpointed = this.#engine.walBytes;
  }

  join(client) {
    this.#clients.add(client);
  }

  /** `client` has a complete request. */
  enqueue(client) {
    if (client !== this.#owner) this.#waiting.push(client);
    void this.#turns();
  }

  /** `client` is gone: its transaction, if it has one, is rolled back, and what it left in the session removed. */
  left(client) {
    if (!this.#clients.delete(client)) return;
    this.#waiting = this.#waiting.filter((other) => other !== client);
    if (client !== this.#owner && (client.tables.size || client.statements.size)) this.#waiting.push(client);
    void this.#turns();
  }

  /** End in order: the statement under way finishes, an open transaction is rolled back. */
  close() {
    this.#closing = true;
    if (this.#engine.blocked) this.#owner.expel('57P01', STOPPING);
    void this.#turns();
  }

  async #turns() {
    if (!this.#running) {
      this.#running = true;
      while (!this.#closing) {
        if (!this.#owner && this.#checkpointDue) await this.#checkpoint();
        const client = this.#owner ?? this.#waiting.shift();
        if (!client || !(client.request || client.gone)) break;
        await this.#serve(client);
      }
      if (this.#closing) return this.#finish(); // and stay `running`: nobody gets a turn any more
      this.#running = false;
    }
    this.#watch();
  }

  async #serve(client) {
    this.#owner = client;
    if (!client.gone) await this.#answer(client);
    if (!client.gone) return;
    await this.#rollBack();
    await this.#session.forget([...client.tables], [...client.statements]);
    this.#owner = null;
  }

  async #rollBack() {
    if (this.#status !== 'I') await this.#engine.ask([message('S'), query('ROLLBACK')]);
    this.#status = 'I';
  }

  async #answer(client) {
    try {
      await this.#session.enter(client.settings);
    } catch (error) {
      return client.expel('22023', `a setting asked for at the start of this session cannot be used: ${error.message}`);
    }
    const { blocks, copy } = client.request;
    const held = [];
    this.#status = await this.#engine.run(blocks, (piece, taken) => {
      if (!copy) return client.write(piece, taken);
      held.push(piece);
      taken();
    });
    if (copy) client.write(withoutCopyInResponse(Buffer.concat(held)));
    if (this.#status === 'I') await this.#release(client);
    client.request = null;
    client.lastActive = performance.now();
    client.read();
  }

  async #release(client) {
    if (client.sets) client.settings = await this.#session.settings();
    if (client.temporary || client.tables.size) await this.#noteTables(client);
    client.sets = client.temporary = false;
    this.#owner = client.gone ? client : null; // what is left to do for one that has gone is done in `#serve`
    const written = this.#engine.walBytes - this.#checkpointed;
    if (written >= CHECKPOINT_BYTES) this.#checkpointDue = true;
    else if (written) this.#checkpointTimer ??= setTimeout(() => this.#due(), CHECKPOINT_MS);
  }

  async #noteTables(client) {
    const others = new Set([...this.#clients].filter((other) => other !== client).flatMap((other) => [...other.tables]));
    client.tables = new Set((await this.#session.temporaryTables()).filter((table) => !others.has(table)));
  }

  #due() {
    this.#checkpointDue = true;
    void this.#turns();
  }

  async #checkpoint() {
    clearTimeout(this.#checkpointTimer);
    this.#checkpointTimer = null;
    this.#checkpointDue = false;
    await this.#session.sql('CHECKPOINT');
    this.#checkpointed = this.#engine.walBytes;
  }

  /** While somebody waits for an owner that is idle in its transaction, or does not read its answer: see that it ends. */
  #watch() {
    clearTimeout(this.#idleTimer);
    const owner = this.#owner;
    if (!owner || !this.#waiting.length) return;
    const left = owner.lastActive + IDLE_MS - performance.now();
    const idle = !this.#running || this.#engine.blocked;
    if (left <= 0 && idle) {
      log(`client ${owner.number} was idle in a transaction for ${IDLE_MS / 1000} s while others waited`);
      owner.expel('25P03', 'terminating connection due to idle-in-transaction timeout');
    } else {
      this.#idleTimer = setTimeout(() => this.#watch(), idle ? Math.max(left, 0) + 1 : Math.max(left, 1000));
    }
  }

  async #finish() {
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#checkpointTimer);
    for (const client of [...this.#clients]) client.expel('57P01', STOPPING);
    await this.#rollBack();
    await this.#engine.close();
    log('stopped');
    process.exit(0);
  }
}

if (!fs.existsSync(options.data)) await Engine.start('create');
const hub = new Hub(await Engine.start('serve'));
await hub.begin();
let number = 0;
const server = net.createServer((socket) => hub.join(new Client(socket, ++number, hub)));
server.on('error', (error) => die(`cannot listen on port ${options.port}: ${error.message}`));
server.listen(Number(options.port), '127.0.0.1', () => log(`ready on port ${server.address().port}, process ${process.pid}`));
process.on('SIGTERM', () => {
  server.close();
  hub.close();
});
