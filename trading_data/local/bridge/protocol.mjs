// The PostgreSQL wire protocol (version 3.0) as far as the bridge needs it: reading fields of messages, building the few
// messages that the bridge sends itself, and recognising COPY … FROM STDIN.
// Belongs here: pure functions over bytes. Does not: sockets, the engine, turns.

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

/** The messages of a server after a start-up packet that it accepts. */
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

/** The reply to a start-up packet with a newer minor version or protocol options: version 3.0 and no options. */
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

const COMMENT = /--[^\n]*|\/\*[\s\S]*?\*\//;
const QUOTED = /\be'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\1\$/i;
const NOT_CODE = new RegExp(`(${COMMENT.source})|${QUOTED.source.replace('\\1', '\\2')}`, 'gi');
const COPY_IN = /(?:^|;)\s*copy\b[^;]*\bfrom\s+stdin\b[^;]*/gi;

const SETTING = /(?:^|;)\s*(?:set\s+(?!local\b|transaction\b|constraints\b)|reset\b|discard\b)|\bset_config\s*\(/i;

// Statements that would kill or damage the engine. A failing statement replaces them, so that the client's transaction
// fails as usual.
const ENCODING = new RegExp(
  String.raw`(?:^|;)\s*set\s+(?:session\s+|local\s+)?(?:client_encoding|names)\b([^;]*)` +
    String.raw`|\bset_config\s*\(\s*'client_encoding'([^;]*)`,
  'i',
);
const CONCURRENT_INDEX = /(?:^|;)\s*(?:create\s+(?:unique\s+)?|drop\s+|re)index\b[^;]*\bconcurrently\b/i;
export const ONLY_UTF8 = 'the embedded server knows no other client_encoding than UTF8';
export const SIMPLE_COPY = 'the embedded server takes COPY FROM STDIN only by the simple query protocol';
const ONE_SESSION = 'the embedded server has only one session and cannot do this CONCURRENTLY';
const ONE_COPY = 'the embedded server takes one COPY FROM STDIN in a query';

/** A statement that fails with this reason. */
export const refusal = (why) => `DO $$BEGIN RAISE EXCEPTION '${why}' USING ERRCODE = 'feature_not_supported'; END$$`;

const NOTHING = { copy: false, binary: false, sets: false, temporary: false, refused: null };

/**
 * Properties of a statement: whether it is COPY … FROM STDIN and in binary, whether it may change settings or create
 * temporary tables, and the reason if it is refused.
 */
export function inspect(sql) {
  if (!/stdin|\bset\b|set_config|reset|discard|temp|concurrently/i.test(sql)) return NOTHING;
  const plain = sql.replace(NOT_CODE, (_, comment) => (comment ? ' ' : ' x '));
  const copies = plain.match(COPY_IN) ?? [];
  const encoding = sql.match(ENCODING);
  let refused = null;
  if (encoding && !/utf-?8|unicode|default/i.test(encoding[1] ?? encoding[2])) refused = ONLY_UTF8;
  else if (CONCURRENT_INDEX.test(plain)) refused = ONE_SESSION;
  else if (copies.length > 1) refused = ONE_COPY;
  return {
    copy: copies.length > 0,
    binary: copies.length > 0 && /\bbinary\b/i.test(copies[0].replace(/^[\s\S]*?\bfrom\s+stdin\b/i, '')),
    sets: SETTING.test(plain),
    temporary: /\btemp(?:orary)?\b/i.test(plain),
    refused,
  };
}

/** The zero-terminated string at `start` of `buffer`. */
export function string(buffer, start) {
  return buffer.toString('utf8', start, buffer.indexOf(0, start));
}

/**
 * The name of a prepared statement in an extended-protocol message, as [start, end] of its bytes; null if there is none.
 * All clients share one session, so the bridge makes these names unique.
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
  const body = Buffer.concat([whole.subarray(5, start), Buffer.from(words), whole.subarray(end)]);
  return message(String.fromCharCode(whole[0]), body);
}

/** A reply to COPY … FROM STDIN without the engine's CopyInResponse, which the client has received already. */
export function withoutCopyInResponse(reply) {
  const kept = [];
  for (let at = 0; at < reply.length; ) {
    const end = at + 1 + reply.readInt32BE(at + 1);
    if (reply[at] !== 0x47) kept.push(reply.subarray(at, end));
    at = end;
  }
  return Buffer.concat(kept);
}
