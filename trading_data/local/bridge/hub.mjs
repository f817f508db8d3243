// The turns of the clients at the engine.
// Belongs here: turns, time limits, checkpoints, a clean stop. Does not: cutting messages (`client.mjs`), the state of each
// client in the session (`session.mjs`).
//
// A client owns the session from its request until the engine is outside a transaction again. The others wait in the
// order in which their requests were completed.
import { message, query, withoutCopyInResponse } from './protocol.mjs';
import { Session } from './session.mjs';

const STOPPING = 'terminating connection due to administrator command';

export class Hub {
  database;
  parameters; // the server parameters reported to a new client
  #limits;
  #log;
  #engine;
  #session;
  #clients = new Set();
  #waiting = []; // clients with work for the engine, in order
  #owner = null;
  #status = 'I'; // transaction status of the owner; empty between two parts of an extended exchange
  #running = false;
  #closing = false;
  #checkpointed = 0; // the engine's walBytes at the last checkpoint
  #checkpointTimer = null;
  #checkpointDue = false;
  #idleTimer = null;

  /** `limits` has `idleMs` (in a transaction, while another client waits), `checkpointMs` and `checkpointBytes`. */
  constructor(engine, database, limits, log) {
    this.database = database;
    this.#limits = limits;
    this.#log = log;
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

  /** `client` has disconnected: roll back its transaction, and remove its tables and statements from the session. */
  left(client) {
    if (!this.#clients.delete(client)) return;
    this.#waiting = this.#waiting.filter((other) => other !== client);
    if (client !== this.#owner && (client.tables.size || client.statements.size)) this.#waiting.push(client);
    void this.#turns();
  }

  /** Stop cleanly: the running statement finishes, an open transaction is rolled back. */
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
      if (this.#closing) return this.#finish(); // and stay `running`, so that no client gets a turn
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
    this.#owner = client.gone ? client : null; // `#serve` cleans up after a client that has gone
    const written = this.#engine.walBytes - this.#checkpointed;
    if (written >= this.#limits.checkpointBytes) this.#checkpointDue = true;
    else if (written) this.#checkpointTimer ??= setTimeout(() => this.#due(), this.#limits.checkpointMs);
  }

  async #noteTables(client) {
    const others = [...this.#clients].filter((other) => other !== client);
    const theirs = new Set(others.flatMap((other) => [...other.tables]));
    client.tables = new Set((await this.#session.temporaryTables()).filter((table) => !theirs.has(table)));
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

  /** End an owner that is idle in a transaction, or does not read its reply, while another client waits. */
  #watch() {
    clearTimeout(this.#idleTimer);
    const owner = this.#owner;
    if (!owner || !this.#waiting.length) return;
    const left = owner.lastActive + this.#limits.idleMs - performance.now();
    const idle = !this.#running || this.#engine.blocked;
    if (left <= 0 && idle) {
      this.#log(`client ${owner.number} idle in its transaction for ${this.#limits.idleMs / 1000} s while others wait`);
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
    this.#log('stopped');
    process.exit(0);
  }
}
