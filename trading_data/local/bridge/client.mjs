// One connection: its start-up, and cutting its messages into requests that the engine can answer in one exchange.
// Belongs here: reading from and writing to one socket. Does not: turns, and the engine.
import { Blocks, Inbox } from './buffers.mjs';
import {
  commandLineSettings, fatal, greeting, inspect, message, negotiation, ONLY_UTF8, query, refusal, replaced, SIMPLE_COPY,
  startupParameters, statementName, string,
} from './protocol.mjs';

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const LONGEST_MESSAGE = 2 ** 30;
const READ_AHEAD = 4 * 1024 * 1024;

export class Client {
  request = null; // {blocks, copy}: a complete request that waits for its turn or is being answered
  gone = false;
  lastActive = performance.now();
  settings = new Map(); // settings of its session
  sets = false; // whether it may have changed settings during this turn
  temporary = false; // … or created a temporary table
  tables = new Set(); // its temporary tables in the session
  statements = new Set(); // its named prepared statements, by the engine's names

  #socket;
  #hub;
  #inbox = new Inbox();
  #blocks = new Blocks();
  #state = 'startup'; // → 'ready' ⇄ 'copy'

  constructor(socket, number, hub) {
    this.#socket = socket;
    this.#hub = hub;
    this.number = number;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.lastActive = performance.now();
      this.#inbox.push(chunk);
      this.read();
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.#leave());
  }

  /** Cut the next request from the bytes that arrived, unless one is unanswered. */
  read() {
    while (!this.gone && !this.request && this.#cut()) this.lastActive = performance.now();
    if (this.gone) return;
    if (this.request && this.#inbox.size > READ_AHEAD) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** Send `bytes`; `taken` is called once they are sent or dropped. */
  write(bytes, taken = () => {}) {
    if (this.gone) taken();
    else {
      this.#socket.write(bytes, () => {
        this.lastActive = performance.now();
        taken();
      });
    }
  }

  /** Send the reason, and end the connection. */
  expel(code, reason) {
    if (this.gone) return;
    this.#socket.write(fatal(code, reason));
    this.#leave();
  }

  #leave() {
    if (this.gone) return;
    this.gone = true;
    this.#socket.end();
    this.#socket.setTimeout(1000, () => this.#socket.destroy()); // the client may not be reading
    this.#hub.left(this);
  }

  #cut() {
    const atStart = this.#state === 'startup';
    if (this.#inbox.size < (atStart ? 8 : 5)) return false;
    const length = atStart ? this.#inbox.peek(4).readUInt32BE() : this.#inbox.peek(5).readUInt32BE(1) + 1;
    if (length < (atStart ? 8 : 5) || length > (atStart ? 10000 : LONGEST_MESSAGE)) {
      this.expel('08P01', `invalid length of a message: ${length}`);
      return false;
    }
    if (this.#inbox.size < length) return false;
    const whole = this.#inbox.take(length);
    if (atStart) this.#start(whole);
    else this.#take(String.fromCharCode(whole[0]), whole);
    return true;
  }

  #start(packet) {
    const version = packet.readUInt32BE(4);
    if (version === SSL_REQUEST || version === GSS_REQUEST) return this.write(Buffer.from('N'));
    if (version === CANCEL_REQUEST) return this.#leave(); // a running statement cannot be interrupted here
    if (version >>> 16 !== 3) return this.expel('0A000', `unsupported frontend protocol ${version >>> 16}`);
    const asked = startupParameters(packet.subarray(8));
    const user = asked.get('user') ?? '';
    const database = asked.get('database') ?? user;
    const only = (name) => `does not exist: the embedded server has only "${name}"`;
    if (user !== 'postgres') return this.expel('28000', `role "${user}" ${only('postgres')}`);
    if (database !== this.#hub.database) {
      return this.expel('3D000', `database "${database}" ${only(this.#hub.database)}`);
    }
    if (asked.get('replication')) return this.expel('0A000', 'the embedded server does not replicate');
    const options = [...asked.keys()].filter((name) => name.startsWith('_pq_.'));
    if (version & 0xffff || options.length) this.write(negotiation(options));
    for (const name of ['user', 'database', 'replication', ...options]) asked.delete(name);

    const { server_version, ...parameters } = this.#hub.parameters;
    const reported = new Map(Object.keys(parameters).map((name) => [name.toLowerCase(), name]));
    for (const [name, value] of [...asked, ...commandLineSettings(asked.get('options') ?? '')]) {
      const lower = name.toLowerCase();
      if (lower === 'options') continue;
      if (lower === 'client_encoding') {
        if (/^(utf-?8|unicode)$/i.test(value)) continue;
        return this.expel('22023', ONLY_UTF8);
      }
      if (reported.has(lower)) parameters[reported.get(lower)] = value;
      if (lower !== 'application_name') this.settings.set(lower, value); // has no effect on a shared session
    }
    this.#state = 'ready';
    this.write(greeting({ server_version, ...parameters }, process.pid));
  }

  #take(type, whole) {
    if (type === 'X') return this.#leave();
    if (this.#state === 'copy') {
      if ('dcf'.includes(type)) this.#blocks.add(whole);
      else if (!'HS'.includes(type)) this.expel('08P01', `unexpected message "${type}" during COPY FROM STDIN`);
      if (type !== 'c' && type !== 'f') return;
      this.#state = 'ready';
      return this.#complete(true);
    }
    switch (type) {
      case 'Q':
        return this.#query(whole);
      case 'P':
        whole = this.#parse(whole); // falls through
      case 'B': // falls through
      case 'D': // falls through
      case 'C': // falls through
      case 'E':
        this.#blocks.add(this.#named(type, whole));
        return;
      case 'F': // falls through
      case 'H': // falls through
      case 'S':
        this.#blocks.add(whole);
        return this.#complete(false);
      case 'd': // falls through
      case 'c': // falls through
      case 'f': // falls through
      case 'p':
        return; // left over from a failed COPY, or a password that was not requested
      default:
        this.expel('08P01', `invalid frontend message type "${type}"`);
    }
  }

  #complete(copy) {
    this.request = { blocks: this.#blocks.finish(), copy };
    this.#blocks = new Blocks();
    this.#hub.enqueue(this);
  }

  #query(whole) {
    const about = this.#inspect(whole, 5);
    this.#blocks.add(about.refused ? query(refusal(about.refused)) : whole);
    if (about.refused || !about.copy) return this.#complete(false);
    // The engine needs all data of a COPY at once, so its CopyInResponse is sent from here.
    this.write(message('G', Buffer.from([about.binary ? 1 : 0, 0, 0])));
    this.#state = 'copy';
  }

  #parse(whole) {
    const start = whole.indexOf(0, 5) + 1;
    const about = this.#inspect(whole, start);
    const refused = about.copy ? SIMPLE_COPY : about.refused;
    return refused ? replaced(whole, start, whole.indexOf(0, start), refusal(refused)) : whole;
  }

  /** The result of `inspect` for the statement at `start`; for a very long one, of its beginning only. */
  #inspect(whole, start) {
    const about = inspect(whole.length > 100_000 ? whole.toString('utf8', start, start + 1000) : string(whole, start));
    this.sets ||= about.sets;
    this.temporary ||= about.temporary;
    return about;
  }

  /** `whole` with the name of its prepared statement made unique to this client. */
  #named(type, whole) {
    const place = statementName(type, whole);
    if (!place) return whole;
    const name = `client ${this.number}: ${whole.toString('utf8', ...place)}`;
    if (type === 'P') this.statements.add(name);
    if (type === 'C') this.statements.delete(name);
    return replaced(whole, ...place, name);
  }
}
