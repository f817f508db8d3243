// The single session of the engine, made to look like one per client: settings in force, and cleaning up after a client.
// Belongs here: settings (SET), temporary tables, named statements. Does not: turns, sockets.
import { message, query, text } from './protocol.mjs';

// The build's command line sets some of these for use in a browser; the others only cost time without workers.
const BASE = {
  allow_system_table_mods: 'off',
  client_encoding: 'UTF8',
  client_min_messages: 'notice',
  datestyle: 'ISO, MDY',
  enable_seqscan: 'on',
  exit_on_error: 'off',
  jit: 'off',
  log_min_messages: 'log', // clients get their errors, and the log stays small
  max_parallel_maintenance_workers: '0',
  max_parallel_workers_per_gather: '0',
  search_path: '"$user", public',
  timezone: 'UTC',
};

const quoted = (value) => `'${value.replaceAll("'", "''")}'`;
const setting = (name, value) => `SELECT set_config(${quoted(name)}, ${quoted(value)}, false)`;

/** Column values of every row in a reply to a simple query, and the text of its error if there is one. */
function parsed(reply) {
  const rows = [];
  let error = null;
  for (let at = 0; at < reply.length; at += 1 + reply.readInt32BE(at + 1)) {
    if (reply[at] === 0x45) error = reply.toString('utf8', at + 5).match(/\0M([^\0]*)/)?.[1] ?? 'unknown error';
    if (reply[at] !== 0x44) continue;
    const row = [];
    let here = at + 7;
    for (let left = reply.readInt16BE(at + 5); left; left--) {
      const length = reply.readInt32BE(here);
      row.push(length < 0 ? null : reply.toString('utf8', here + 4, here + 4 + length));
      here += 4 + Math.max(length, 0);
    }
    rows.push(row);
  }
  return { rows, error };
}

export class Session {
  #run; // (blocks) → the engine's whole reply
  #inForce = new Map(); // settings that differ from BASE

  constructor(run) {
    this.#run = run;
  }

  /** Run SQL for the bridge; returns rows of text. Throws the server's error. */
  async sql(statement) {
    const { rows, error } = parsed(await this.#run([query(statement)]));
    if (error) throw new Error(error);
    return rows;
  }

  /** Load the extension and apply BASE; returns the server's version. */
  async begin() {
    // A native server preloads it. Without this, a restarted engine silently reads no compressed rows.
    await this.sql("LOAD 'timescaledb'");
    for (const [name, value] of Object.entries(BASE)) await this.sql(setting(name, value));
    return (await this.sql('SHOW server_version'))[0][0];
  }

  /** Replace the settings of the last client by `wanted`. */
  async enter(wanted) {
    for (const name of [...this.#inForce.keys()]) {
      if (wanted.has(name)) continue;
      await this.sql(name in BASE ? setting(name, BASE[name]) : `RESET ${name}`);
      this.#inForce.delete(name);
    }
    for (const [name, value] of wanted) {
      if (this.#inForce.get(name) === value) continue;
      await this.sql(setting(name, value));
      this.#inForce.set(name, value);
    }
  }

  /** The settings that differ from BASE after a client used SET; a changed role is reset after its turn. */
  async settings() {
    await this.sql('RESET SESSION AUTHORIZATION; RESET ROLE');
    // `timescaledb.restoring` is meant for other clients: `pg_restore` between pre_restore() and post_restore().
    // A transaction's own characteristics end with it, and cannot be reset.
    const others = "'timescaledb.restoring', 'transaction_isolation', 'transaction_read_only', 'transaction_deferrable'";
    const mine = `source = 'session' AND name NOT IN (${others})`;
    const rows = await this.sql(`SELECT lower(name), setting FROM pg_settings WHERE ${mine}`);
    const now = new Map(rows);
    this.#inForce = new Map(rows.filter(([name, value]) => BASE[name] !== value));
    for (const name in BASE) if (!now.has(name)) await this.sql(setting(name, BASE[name]));
    return new Map(this.#inForce);
  }

  /** The existing temporary tables. */
  async temporaryTables() {
    const names = "SELECT 'pg_temp.' || quote_ident(relname) FROM pg_class";
    return (await this.sql(`${names} WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'`)).flat();
  }

  /** Remove the tables and statements of a client that has disconnected. */
  async forget(tables, statements) {
    await this.enter(new Map()); // another client's settings may be in force, such as read only
    for (const table of tables) await this.sql(`DROP TABLE IF EXISTS ${table} CASCADE`);
    if (statements.length) {
      const closings = statements.map((name) => message('C', Buffer.concat([Buffer.from('S'), text(name)])));
      await this.#run([...closings, message('S')]);
    }
  }
}
