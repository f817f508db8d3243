"""The archiver's view of the journals: finding, inspecting, reading and trimming them, in small pipelines.

Belongs here: entry ids, XINFO, XRANGE, XTRIM. Does not: the meaning of entries (`datasets.codec`), and the progress of draining
and archiving (`intake.snapshot`, `archive.trim`).
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from redis.exceptions import ResponseError

from trading_data.collector import without_gc
from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import Client, live_errors
from trading_data.live.keys import raw as raw
from trading_data.live.keys import text as text
from trading_data.live.pipeline import exchange
from trading_data.live.writes import Command

ROWS_PER_PIPELINE = 300
"""Other clients wait about 0.56 ms per thousand rows of a pipeline; 300 rows keep 94 % of the full rate."""
_KEYS_PER_PIPELINE = 200
_HIGHEST = 2**64 - 1
_IDS_KEPT = 1 << 15
"""How many entry ids are kept parsed: of ten thousand journals each end is needed several times."""
_OF_ONE_KEY = ("WRONGTYPE", "no such key")


class EntryId(NamedTuple):
    """A stream entry's id: milliseconds since 1970 by the server's clock, and a counter within that millisecond."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, text: str | bytes) -> "EntryId":
        """From `ms-seq`."""
        return _parsed(text)

    def __str__(self) -> str:
        """As Redis writes it."""
        return f"{self.ms}-{self.seq}"

    def preceding(self) -> "EntryId":
        """The largest id before this one; the smallest id returns itself."""
        return EntryId(self.ms, self.seq - 1) if self.seq else EntryId(max(0, self.ms - 1), _HIGHEST if self.ms else 0)


@lru_cache(_IDS_KEPT)
def _parsed(text: str | bytes) -> EntryId:
    ms, _, seq = text.partition(b"-") if isinstance(text, bytes) else text.partition("-")
    return EntryId(int(ms), int(seq))


BEGINNING = EntryId(0, 0)


class JournalInfo(NamedTuple):
    """XINFO of a stream: its newest id ever, entries in it now, entries ever added to it, and its first entry's id.

    `first` is None if the stream is empty. `deleted` is the largest id that XDEL removed; it and `added` survive XTRIM and are
    reset by DEL. `anchor` is the requested entry, id and fields, if it is the stream's first or last one.
    """

    last: EntryId
    length: int
    added: int
    first: EntryId | None = None
    deleted: EntryId = BEGINNING
    anchor: tuple[EntryId, list[bytes]] | None = None


@dataclass(frozen=True)
class Reading:
    """Entries of one journal, in order: ids and flat field lists, as they came over the wire."""

    journal: str
    entries: Sequence[tuple[bytes, list[bytes]]]


class ReadRange(NamedTuple):
    """A range of one journal to read: every entry after `after` up to and with `upto`, about `expected` of them."""

    journal: str
    after: EntryId
    upto: EntryId
    expected: int


def execute(client: Client, pipeline: Any, instead: Any) -> list[Any]:
    """The replies of a pipeline; `instead` for a key that was deleted or that another program replaced by another type.

    Such a key must not prevent the reading of the others; `live.reads` reports it.
    """
    with live_errors(client):
        return _without_errors(pipeline.execute(raise_on_error=False), instead)


def ask(client: Client, commands: Sequence[Command], instead: Any) -> list[Any]:
    """The replies to commands of one key each, in pipelines that do not hold up other clients; `instead` as for `execute`."""
    replies: list[Any] = []
    with live_errors(client):
        for start in range(0, len(commands), _KEYS_PER_PIPELINE):
            replies += _without_errors(exchange(client, commands[start : start + _KEYS_PER_PIPELINE]), instead)
    return replies


def _without_errors(replies: list[Any], instead: Any) -> list[Any]:
    for at, reply in enumerate(replies):
        if isinstance(reply, ResponseError) and str(reply).startswith(_OF_ONE_KEY):
            replies[at] = instead
        elif isinstance(reply, Exception):
            raise reply
    return replies


def find_keys(client: Client, prefix: str, kind: str | None) -> list[str]:
    """All keys of a type (None for any) whose name begins with `prefix`, sorted."""
    pattern = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in prefix) + "*"
    with live_errors(client):
        return sorted({text(key) for key in client.scan_iter(match=pattern, count=1000, _type=kind)})


def find_journals(client: Client, dataset: Dataset) -> list[str]:
    """The journals of a dataset that exist, sorted."""
    if dataset.carried:
        return find_keys(client, dataset.prefix, "stream")
    with live_errors(client):
        return [dataset.journal] if client.exists(dataset.journal) else []


@without_gc()
def inspect(
    client: Client, journals: Sequence[str], anchors: Mapping[str, EntryId] = MappingProxyType({})
) -> dict[str, JournalInfo]:
    """XINFO of each journal that exists and is a stream, with its entry of `anchors` where XINFO returns it."""
    journal_infos: dict[str, JournalInfo] = {}
    for start in range(0, len(journals), _KEYS_PER_PIPELINE):
        names = journals[start : start + _KEYS_PER_PIPELINE]  # a reply has two entries with all fields
        replies = ask(client, [("XINFO", "STREAM", raw(name)) for name in names], None)
        pairs = zip(names, replies, strict=True)
        journal_infos.update((name, _info(reply, anchors.get(name))) for name, reply in pairs if reply is not None)
    return journal_infos


def _info(reply: list[Any], anchor: EntryId | None) -> JournalInfo:
    xinfo = dict(zip(reply[::2], reply[1::2], strict=True))
    first, deleted = xinfo[b"first-entry"], xinfo[b"max-deleted-entry-id"]
    wanted = str(anchor).encode() if anchor else None
    shown = next((entry for entry in (first, xinfo[b"last-entry"]) if entry and entry[0] == wanted), None)
    return JournalInfo(
        EntryId.parse(xinfo[b"last-generated-id"]),
        xinfo[b"length"],
        xinfo[b"entries-added"],
        EntryId.parse(first[0]) if first else None,
        BEGINNING if deleted == b"0-0" else EntryId.parse(deleted),
        (anchor, shown[1]) if anchor and shown else None,
    )


def entry_digest(entry_id: bytes, fields: Sequence[bytes]) -> str:
    """A digest of an entry's id and fields (names and values in turn), independent of the fields' order."""
    pairs = sorted(zip(fields[::2], fields[1::2], strict=False))
    return hashlib.sha256(repr((entry_id, pairs)).encode()).hexdigest()[:32]


def entries_at(
    client: Client, at: Mapping[str, EntryId], infos: Mapping[str, JournalInfo] = MappingProxyType({})
) -> dict[str, list[bytes]]:
    """The fields of one entry of each journal, names and values in turn; journals without that entry are left out.

    Entries that `infos` already has are not read again.
    """
    anchors = {name: anchor for name in at if name in infos and (anchor := infos[name].anchor)}
    shown = {name: fields for name, (entry_id, fields) in anchors.items() if entry_id == at[name]}
    others = [name for name in at if name not in shown]
    asked = [("XRANGE", raw(name), str(at[name]), str(at[name]), "COUNT", 1) for name in others]
    pairs = zip(others, ask(client, asked, []), strict=True)
    return shown | {name: entries[0][1] for name, entries in pairs if entries}


def digests_at(
    client: Client, at: Mapping[str, EntryId], infos: Mapping[str, JournalInfo] = MappingProxyType({})
) -> dict[str, str]:
    """The digest of one entry of each journal; journals without that entry are left out. `infos` as for `entries_at`."""
    entries = entries_at(client, at, infos)
    return {name: entry_digest(str(at[name]).encode(), fields) for name, fields in entries.items()}


def read(client: Client, read_ranges: Sequence[ReadRange], rows: int = ROWS_PER_PIPELINE) -> Iterator[Reading]:
    """Read ranges in the order given, at most `rows` entries a pipeline, so that other clients are not held up."""
    waiting = deque(read_ranges)
    while waiting:
        asked = take_page(waiting, rows)
        pipeline = client.pipeline(transaction=False)
        for read_range, count in asked:
            pipeline.xrange(cast(str, raw(read_range.journal)), f"({read_range.after}", str(read_range.upto), count)
        replies: list[list[Any]] = execute(client, pipeline, [])
        unfinished: list[ReadRange] = []
        for (read_range, count), entries in zip(asked, replies, strict=True):
            if entries:
                yield Reading(read_range.journal, entries)
            if len(entries) == count and (last := EntryId.parse(entries[-1][0])) < read_range.upto:
                left = max(read_range.expected - count, 1)
                unfinished.append(ReadRange(read_range.journal, last, read_range.upto, left))
        waiting.extendleft(reversed(unfinished))


def first_entries(client: Client, read_ranges: Sequence[ReadRange]) -> set[str]:
    """The journals that have an entry in their range."""
    asked = [
        ("XRANGE", raw(read_range.journal), f"({read_range.after}", str(read_range.upto), "COUNT", 1)
        for read_range in read_ranges
    ]
    return {read_range.journal for read_range, got in zip(read_ranges, ask(client, asked, []), strict=True) if got}


def take_page(waiting: deque[ReadRange], rows: int) -> list[tuple[ReadRange, int]]:
    """Take ranges from the head of `waiting` until `rows` entries are requested; each with the number of entries to request."""
    asked: list[tuple[ReadRange, int]] = []
    room = rows
    while waiting and room > 0:
        read_range = waiting.popleft()
        count = min(max(read_range.expected, 1), room)
        asked.append((read_range, count))
        room -= count
    return asked


def newest_entries(client: Client, journals: Sequence[str], count: int) -> dict[str, list[tuple[bytes, list[bytes]]]]:
    """The newest `count` entries of each journal, newest first."""
    newest: dict[str, list[tuple[bytes, list[bytes]]]] = {}
    step = max(1, ROWS_PER_PIPELINE // count)
    for start in range(0, len(journals), step):
        names = journals[start : start + step]
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.xrevrange(cast(str, raw(name)), "+", "-", count)
        newest.update(zip(names, execute(client, pipeline, []), strict=True))
    return newest


@dataclass(frozen=True)
class Cut:
    """A trim of a journal: remove the entries before `keep_from`, provided that the entry `anchor` has these `fields`."""

    keep_from: EntryId
    anchor: EntryId
    fields: Sequence[bytes]


_TRIM = """
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if not found or #found[2] ~= #ARGV - 2 then return 0 end
for at, part in ipairs(found[2]) do if part ~= ARGV[at + 2] then return 0 end end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[1])
"""


def trim(client: Client, cuts: Mapping[str, Cut]) -> int:
    """Trim journals; the server checks the anchor and trims in one atomic step. Returns the number of entries removed."""
    asked = [
        ("EVAL", _TRIM, 1, raw(name), str(cut.keep_from), str(cut.anchor), *cut.fields) for name, cut in cuts.items()
    ]
    return sum(ask(client, asked, 0))


def server_ms(client: Client) -> int:
    """The server's clock, milliseconds since 1970: the clock of the entry ids."""
    with live_errors(client):
        seconds, micros = client.time()
    return seconds * 1000 + micros // 1000
