// The interface to the engine's thread: one exchange after another.
// Belongs here: starting `engine.mjs`, passing requests and replies. Does not: turns.
import path from 'node:path';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Blocks } from './buffers.mjs';

const UNREAD_LIMIT = 64 * 1024 * 1024; // unsent bytes of a reply after which the engine waits for the client to read

export class EngineThread {
  walBytes = 0; // written to the write-ahead log since the start
  #worker;
  #die;
  #exchange = null;

  /** Start a thread for `task`: `create` (finished on return) or `serve`. `die(why)` is called if it dies. */
  static async start(task, { modules, data, database }, die) {
    const folders = { modules: path.resolve(modules), data: path.resolve(data) };
    const worker = new Worker(new URL('./engine.mjs', import.meta.url), {
      workerData: { task, ...folders, database, unreadLimit: UNREAD_LIMIT },
      resourceLimits: { stackSizeMb: 16 }, // for deeply nested SQL
    });
    worker.on('error', (error) => die(error.stack ?? String(error)));
    const engine = new EngineThread();
    engine.#worker = worker;
    engine.#die = die;
    worker.on('message', (said) => engine.#hear(said));
    if (task === 'serve') await once(worker, 'message');
    else if ((await once(worker, 'exit'))[0]) die(`the data folder ${data} could not be made`);
    return engine;
  }

  /** Whether the current exchange waits for its client to read. */
  get blocked() {
    return this.#exchange !== null && Atomics.load(this.#exchange.unread, 0) > UNREAD_LIMIT;
  }

  /** Run an exchange, with its reply to `deliver(piece, taken)`; returns the transaction status. */
  run(blocks, deliver) {
    const unread = new Int32Array(new SharedArrayBuffer(4));
    return new Promise((done) => {
      this.#exchange = { unread, deliver, done };
      this.#worker.postMessage({ blocks, unread }, blocks.map((block) => block.buffer));
    });
  }

  /** Run messages of the bridge; returns the complete reply. */
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
    if (said.died) this.#die(said.died);
    if (said.piece) {
      const { unread, deliver } = this.#exchange;
      const { buffer, byteOffset, length } = said.piece;
      deliver(Buffer.from(buffer, byteOffset, length), () => {
        Atomics.sub(unread, 0, length);
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
