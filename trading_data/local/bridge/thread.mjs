// The engine's thread as the rest of the bridge sees it: one exchange after another.
// Belongs here: starting `engine.mjs`, handing over requests, passing on replies. Does not: whose request it is.
import path from 'node:path';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Blocks } from './buffers.mjs';

const UNREAD_LIMIT = 64 * 1024 * 1024; // bytes on their way to a client before the engine waits for it to read

export class EngineThread {
  walBytes = 0; // written to the log since the start
  #worker;
  #die;
  #exchange = null;

  /** Start a thread for `task`: `create`, done when this returns, or `serve`. `die(why)` is told of its death. */
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

  /** Whether the exchange under way waits for its client to read. */
  get blocked() {
    return this.#exchange !== null && Atomics.load(this.#exchange.unread, 0) > UNREAD_LIMIT;
  }

  /** Hand over an exchange, whose reply goes to `deliver(piece, taken)`; the transaction's status after it. */
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
