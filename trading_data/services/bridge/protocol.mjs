// The PostgreSQL wire protocol (version 3.0) as far as the bridge needs it: cutting a byte stream into messages,
// building the few messages the bridge says itself, and knowing COPY … FROM STDIN when it sees one.
// Belongs here: pure functions over bytes. Does not: sockets, the engine, who may speak when.

/** One message: type letter, length, body. */
export function message(type, body = Buffer.alloc(0)) {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export const text = (...parts) => Buffer.from(parts.map((part) => part + '\0').join(''));
export const query = (sql) => message('Q', text(sql));
export const readyForQuery = message('Z', Buffer.from('I'));

/** A FATAL ErrorResponse, after which the connection is closed. */
export function fatal(code, reason) {
  return message('E', Buffer.concat([text('SFATAL', 'VFATAL', `C${code}`, `M${reason}`), Buffer.alloc(1)]));
}

/** What a server says after a start-up packet it accepts. */
export function greeting(parameters, processId) {
  const key = Buffer.alloc(8);
  key.writeInt32BE(processId);
  return Buffer.concat([
    message('R', Buffer.alloc(4)),
    ...Object.entries(parameters).map(([name, value]) => message('S', text(name, value))),
    message('K', key),
    readyForQuery,
  ]);
}

/** The reply to a start-up packet that asks for a newer minor version or for protocol options: 3.0, none of them. */
export function negotiation(names) {
  const head = Buffer.alloc(8);
  head.writeInt32BE(names.length, 4);
  return message('v', Buffer.concat([head, text(...names)]));
}

/** The name-value pairs of a start-up packet's body. */
export function startupParameters(body) {
  const words = body.toString().split('\0');
  const parameters = new Map();
  for (let i = 0; i + 1 < words.length && words[i]; i += 2) parameters.set(words[i], words[i + 1]);
  return parameters;
}

/** `-c name=value` and `--name=value` of the start-up parameter `options`, where a backslash quotes one character. */
export function commandLineSettings(options) {
  const words = (options.match(/(?:\\.|[^\\\s])+/g) ?? []).map((word) => word.replace(/\\(.)/g, '$1'));
  const settings = new Map();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] === '-c' ? words[++i] ?? '' : words[i].replace(/^(-c|--)/, '');
    const [name, ...value] = word.split('=');
    if (value.length) settings.set(name.replaceAll('-', '_').toLowerCase(), value.join('='));
  }
  return settings;
}

const QUOTED = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\1\$/g;
const COPY_IN = /(?:^|;)\s*copy\b[^;]*\bfrom\s+stdin\b[^;]*/gi;

/**
 * What is special about a statement text: how many COPY … FROM STDIN it has and whether in binary, whether it may change
 * settings or make temporary tables, and whether it asks for another encoding than the only one the engine survives.
 */
export function inspect(sql) {
  const plain = /stdin|\bset\b|set_config|reset|discard|temp/i.test(sql) ? sql.replace(QUOTED, ' x ') : '';
  const copies = plain.match(COPY_IN) ?? [];
  return {
    copies: copies.length,
    binary: copies.length > 0 && /\bbinary\b/i.test(copies[0].replace(/^[\s\S]*?\bfrom\s+stdin\b/i, '')),
    sets: /(?:^|;)\s*(?:set\s+(?!local\b|transaction\b|constraints\b)|reset\b|discard\b)|\bset_config\s*\(/i.test(plain),
    temporary: /\btemp(?:orary)?\b/i.test(plain),
    encoding: /\b(?:set\b[^;]*|set_config\s*\(\s*')(?:client_encoding|names)\b(?![^;]*(?:utf-?8|unicode|default))/i.test(sql),
  };
}

/** The zero-terminated string at `start` of `buffer`. */
export function string(buffer, start) {
  return buffer.toString('utf8', start, buffer.indexOf(0, start));
}

/**
 * Where an extended-protocol message names a prepared statement, as [start, end] of the name's bytes; null where it
 * has none. All clients share one session, so the bridge makes these names distinct.
 */
export function statementName(type, whole) {
  let start = 5;
  if (type === 'B') start = whole.indexOf(0, 5) + 1;
  else if (type === 'D' || type === 'C') start = whole[5] === 0x53 ? 6 : 0;
  else if (type !== 'P') start = 0;
  const end = start && whole.indexOf(0, start);
  return end > start ? [start, end] : null;
}

/** `whole` with the bytes from `start` to `end` of its body replaced by `words`. */
export function replaced(whole, start, end, words) {
  return message(String.fromCharCode(whole[0]), Buffer.concat([whole.subarray(5, start), Buffer.from(words), whole.subarray(end)]));
}

/** A reply to COPY … FROM STDIN without the engine's own CopyInResponse, which the client has had already. */
export function withoutCopyInResponse(reply) {
  const kept = [];
  for (let at = 0; at < reply.length; ) {
    const end = at + 1 + reply.readInt32BE(at + 1);
    if (reply[at] !== 0x47) kept.push(reply.subarray(at, end));
    at = end;
  }
  return Buffer.concat(kept);
}
