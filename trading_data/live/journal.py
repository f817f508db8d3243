"""The archiver's view of the journals: which there are, how far they go, and reading them in small pipelines.

Belongs here: entry ids, XINFO, XRANGE, XTRIM. Does not: what an entry means (`datasets.codec`) and how far it has been
drained or archived (`intake.snapshot`, `archive.trim`).
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from redis.exceptions import ResponseError

from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import Client, live_errors

ROWS_PER_PIPELINE = 300
"""What keeps other clients waiting is rows a pipeline, about 0.56 ms a thousand; 300 keep 94 % of the full rate."""
_KEYS_PER_PIPELINE = 200
_HIGHEST = 2**64 - 1
_OF_ONE_KEY = ("WRONGTYPE", "no such key")


class EntryId(NamedTuple):
    """A stream entry's id: milliseconds since 1970 by the server's clock, and a counter within that millisecond."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, text: str | bytes) -> "EntryId":
        """From `ms-seq`."""
        ms, _, seq = (text.decode() if isinstance(text, bytes) else text).partition("-")
        return cls(int(ms), int(seq))

    def __str__(self) -> str:
        """As Redis writes it."""
        return f"{self.ms}-{self.seq}"

    def preceding(self) -> "EntryId":
        """The largest id before this one; the smallest of all has none, and stays."""
        return EntryId(self.ms, self.seq - 1) if self.seq else EntryId(max(0, self.ms - 1), _HIGHEST if self.ms else 0)


BEGINNING = EntryId(0, 0)


@dataclass(frozen=True)
class JournalInfo:
    """What XINFO says of a stream: its newest id ever, entries in it now, entries ever added to it, and its first entry's id.

    `first` is None where the stream is empty. `deleted` is the largest id that XDEL removed; it and `added` outlive XTRIM, and
    begin anew with DEL.
    """

    last: EntryId
    length: int
    added: int
    first: EntryId | None = None
    deleted: EntryId = BEGINNING


@dataclass(frozen=True)
class Reading:
    """Entries of one journal, in order: ids and flat field lists, as they came over the wire."""

    journal: str
    entries: Sequence[tuple[bytes, list[bytes]]]


@dataclass(frozen=True)
class Stretch:
    """What to read of one journal: everything after `after` up to and with `upto`; `expected` is a guess of how many."""

    journal: str
    after: EntryId
    upto: EntryId
    expected: int


def raw(name: str) -> bytes:
    """A key as bytes; names that are not UTF-8 survive the way to text and back."""
    return name.encode("utf-8", "surrogateescape")


def text(name: bytes) -> str:
    """A key as text, see `raw`."""
    return name.decode("utf-8", "surrogateescape")


def execute(client: Client, pipeline: Any, instead: Any) -> list[Any]:
    """The replies of a pipeline; `instead` for a key that has gone or that somebody made of another type.

    One such key must not keep the others from their readers; `live.strange` reports it.
    """
    with live_errors(client):
        replies = pipeline.execute(raise_on_error=False)
        for at, reply in enumerate(replies):
            if isinstance(reply, ResponseError) and str(reply).startswith(_OF_ONE_KEY):
                replies[at] = instead
            elif isinstance(reply, Exception):
                raise reply
    return cast(list[Any], replies)


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


def inspect(client: Client, journals: Sequence[str]) -> dict[str, JournalInfo]:
    """XINFO of each journal that exists and is a stream."""
    found: dict[str, JournalInfo] = {}
    for start in range(0, len(journals), _KEYS_PER_PIPELINE):
        names = journals[start : start + _KEYS_PER_PIPELINE]
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.xinfo_stream(cast(str, raw(name)))
        for name, reply in zip(names, execute(client, pipeline, None), strict=True):
            if reply is not None:
                last, first = EntryId.parse(reply["last-generated-id"]), reply["first-entry"]
                found[name] = JournalInfo(
                    last,
                    int(reply["length"]),
                    int(reply["entries-added"]),
                    EntryId.parse(first[0]) if first else None,
                    EntryId.parse(reply["max-deleted-entry-id"]),
                )
    return found


def entry_digest(entry_id: bytes, fields: Sequence[bytes]) -> str:
    """What tells an entry from every other one: a digest of its id and its fields (names and values in turn), in any order."""
    pairs = sorted(zip(fields[::2], fields[1::2], strict=False))
    return hashlib.sha256(repr((entry_id, pairs)).encode()).hexdigest()[:32]


def entries_at(client: Client, at: Mapping[str, EntryId]) -> dict[str, list[bytes]]:
    """The fields of one entry of each journal, names and values in turn; journals that have no such entry are left out."""
    found: dict[str, list[bytes]] = {}
    names = list(at)
    for start in range(0, len(names), _KEYS_PER_PIPELINE):
        block = names[start : start + _KEYS_PER_PIPELINE]
        pipeline = client.pipeline(transaction=False)
        for name in block:
            pipeline.xrange(cast(str, raw(name)), str(at[name]), str(at[name]), 1)
        replies: list[list[Any]] = execute(client, pipeline, [])
        found.update((name, entries[0][1]) for name, entries in zip(block, replies, strict=True) if entries)
    return found


def digests_at(client: Client, at: Mapping[str, EntryId]) -> dict[str, str]:
    """The digest of one entry of each journal; journals that have no such entry are left out."""
    found = entries_at(client, at)
    return {name: entry_digest(str(at[name]).encode(), fields) for name, fields in found.items()}


def read(client: Client, stretches: Sequence[Stretch], rows: int = ROWS_PER_PIPELINE) -> Iterator[Reading]:
    """Read stretches in the order given, at most `rows` entries a pipeline, so that other clients are not held up."""
    waiting = deque(stretches)
    while waiting:
        asked = take_page(waiting, rows)
        pipeline = client.pipeline(transaction=False)
        for stretch, count in asked:
            pipeline.xrange(cast(str, raw(stretch.journal)), f"({stretch.after}", str(stretch.upto), count)
        replies: list[list[Any]] = execute(client, pipeline, [])
        unfinished: list[Stretch] = []
        for (stretch, count), entries in zip(asked, replies, strict=True):
            if entries:
                yield Reading(stretch.journal, entries)
            if len(entries) == count and (last := EntryId.parse(entries[-1][0])) < stretch.upto:
                left = max(stretch.expected - count, 1)
                unfinished.append(Stretch(stretch.journal, last, stretch.upto, left))
        waiting.extendleft(reversed(unfinished))


def first_entries(client: Client, stretches: Sequence[Stretch]) -> set[str]:
    """The journals of which a stretch has an entry."""
    found: set[str] = set()
    for start in range(0, len(stretches), ROWS_PER_PIPELINE):
        block = stretches[start : start + ROWS_PER_PIPELINE]
        pipeline = client.pipeline(transaction=False)
        for one in block:
            pipeline.xrange(cast(str, raw(one.journal)), f"({one.after}", str(one.upto), 1)
        found |= {one.journal for one, got in zip(block, execute(client, pipeline, []), strict=True) if got}
    return found


def take_page(waiting: deque[Stretch], rows: int) -> list[tuple[Stretch, int]]:
    """Take stretches from the head of `waiting` until `rows` entries are asked for: each with how many at most."""
    asked: list[tuple[Stretch, int]] = []
    room = rows
    while waiting and room > 0:
        stretch = waiting.popleft()
        count = min(max(stretch.expected, 1), room)
        asked.append((stretch, count))
        room -= count
    return asked


def newest_entries(client: Client, journals: Sequence[str], count: int) -> dict[str, list[tuple[bytes, list[bytes]]]]:
    """The newest `count` entries of each journal, newest first."""
    found: dict[str, list[tuple[bytes, list[bytes]]]] = {}
    step = max(1, ROWS_PER_PIPELINE // count)
    for start in range(0, len(journals), step):
        names = journals[start : start + step]
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.xrevrange(cast(str, raw(name)), "+", "-", count)
        found.update(zip(names, execute(client, pipeline, []), strict=True))
    return found


@dataclass(frozen=True)
class Cut:
    """What to remove of a journal: the entries before `keep_from`, if the entry `anchor` stands there with these `fields`."""

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
    """Cut journals. The look at the anchor and the cut are one step of the server's. Returns how many entries were removed."""
    names = list(cuts)
    removed = 0
    for start in range(0, len(names), _KEYS_PER_PIPELINE):
        pipeline: Any = client.pipeline(transaction=False)
        for name in names[start : start + _KEYS_PER_PIPELINE]:
            cut = cuts[name]
            arguments = (str(cut.keep_from), str(cut.anchor), *cut.fields)
            pipeline.execute_command("EVAL", _TRIM, 1, raw(name), *arguments)
        removed += sum(execute(client, pipeline, 0))
    return removed


def server_ms(client: Client) -> int:
    """The server's clock, milliseconds since 1970: the clock of the entry ids."""
    with live_errors(client):
        seconds, micros = client.time()
    return seconds * 1000 + micros // 1000
