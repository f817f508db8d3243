"""Snapshot and trim in a small world: the project's own code, on a server that is a tuple.

Belongs here: the stand-ins, and these two steps. Does not: who takes them, and when (`archivers`).
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from datetime import timedelta
from functools import cache
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple

from trading_data.archive.trim import _covering, _trim
from trading_data.intake.batch import JournalRange
from trading_data.intake.snapshot import _around_deleted, _DrainProgress, _ranges
from trading_data.live.journal import BEGINNING, EntryId, JournalInfo, ReadRange
from trading_data.live.ranges import EntryRange, joined
from trading_data_tests.worlds.parts import EMPTY, Batch, Entry, Journal, Live, the

Known = tuple[tuple[EntryRange, ...], ...]
"""Ranges by journal."""
Relied = tuple[tuple[int, EntryRange], ...]
"""Ranges by which a journal was known again."""


class Written(NamedTuple):
    """A batch, and what is noted in Redis once it is durable: the ranges of some journals."""

    batch: Batch
    noted: tuple[tuple[int, tuple[EntryRange, ...]], ...]


class Drained(NamedTuple):
    """What a snapshot writes, and the ranges that it went on from."""

    written: tuple[Written, ...]
    relied: Relied


class Trimmed(NamedTuple):
    """The live tier after a trim, and the ranges that it trusted."""

    live: Live
    relied: Relied


@cache
def drain(
    looked: Live, read: Live, archived: Known, waiting: tuple[Batch, ...], clock: int, now: int, who: str
) -> Drained:
    """What a snapshot does.

    Args:
        looked: the live tier when the journals were inspected.
        read: the live tier when they were read.
        archived: what the archive said, or the note.
        waiting: the batches whose heads were read.
        clock: the moment of inspecting.
        now: the moment of writing.
        who: writes.
    """
    known: dict[str, list[EntryRange]] = {str(at): list(ranges) for at, ranges in enumerate(archived) if ranges}
    for batch in waiting:
        for journal, part in batch.ranges:
            known.setdefault(str(journal), []).append(part)
    server: Any = _Server(looked, clock)
    infos = {str(at): info_of(journal) for at, journal in enumerate(looked.journals) if journal}
    noted = {str(at): list(ranges) for at, ranges in enumerate(looked.note) if ranges}
    progress = _DrainProgress(server, known, infos, lambda: noted)
    relied = tuple((int(name), ranges[-1]) for name, ranges in progress.covered.items())
    return Drained(tuple(_written(progress, read, infos, now, who)), relied)


def info_of(journal: Journal) -> JournalInfo:
    """As `live.journal.inspect`."""
    return JournalInfo(journal.last, len(journal.entries), journal.added, journal.first, journal.deleted)


def _written(
    progress: _DrainProgress, live: Live, infos: Mapping[str, JournalInfo], now: int, who: str
) -> Iterator[Written]:
    """As `intake.snapshot.snapshot`, each journal in one page."""
    durable = {name: list(ranges) for name, ranges in progress.covered.items()}

    def write(parts: tuple[JournalRange, ...], rows: tuple[Entry, ...]) -> Written:
        moved = {part.journal: joined([*durable.get(part.journal, []), part.entries]) for part in parts}
        durable.update(moved)
        batch = the(Batch, "journal", now, parts, rows, None, who)
        return Written(batch, tuple((int(name), tuple(ranges)) for name, ranges in moved.items()))

    while read_ranges := progress.uncovered():
        block: Any = _Block(live, read_ranges)
        if block.rows:
            began = progress.take(block)
            ends = dict(began)
            for start, stop in pairwise(sorted({0, len(block.rows), *_around_deleted(block, began, infos)})):
                part = block.slice(start, stop)
                yield write(tuple(_ranges(part, ends, infos)), part.rows)
        else:
            progress.pass_over(read_ranges)
    if vanished := tuple(progress.vanished(durable)):
        yield write(vanished, ())


@cache
def trim(looked: Live, now: Live, archived: Known) -> Trimmed:
    """What a trim does that looked at the journals when they were `looked`, and cuts them as they are `now`."""
    known = {str(at): list(ranges) for at, ranges in enumerate(archived) if ranges}
    names = [str(at) for at, journal in enumerate(looked.journals) if journal]
    server: Any = _Server(looked, 0, now)
    _trim(server, names, known, timedelta(0))
    trusted = {at: _covering(known[str(at)], info_of(looked.journals[at] or EMPTY)) for at in server.cuts}
    journals = tuple(
        _cut(journal, server.cuts.get(at, BEGINNING)) if journal else None for at, journal in enumerate(now.journals)
    )
    return Trimmed(now.having(journals=journals), tuple((at, covering) for at, covering in trusted.items() if covering))


def _cut(journal: Journal, keep_from: EntryId) -> Journal:
    kept = tuple(entry for entry in journal.entries if entry.id >= keep_from)
    return the(Journal, kept, journal.last, journal.added, journal.past, journal.deleted)


class _Server:
    """Redis, as far as these steps use it, and its own pipeline; `later` has the journals when they are cut."""

    def __init__(self, live: Live, clock: int, later: Live | None = None) -> None:
        self._journals, self._clock, self._later = live.journals, clock, later or live
        self._replies: list[Any] = []
        self.cuts: dict[int, EntryId] = {}

    def pipeline(self, **_: Any) -> "_Server":
        """Itself."""
        return self

    def time(self) -> tuple[int, int]:
        """Seconds and microseconds."""
        return self._clock // 1000, self._clock % 1000 * 1000

    def execute(self, **_: Any) -> list[Any]:
        """The replies since the last time."""
        replies, self._replies = self._replies, []
        return replies

    def publish(self, *_: Any) -> None:
        """Nobody listens."""

    def execute_command(self, command: str, *arguments: Any) -> None:
        """XINFO STREAM, XRANGE, and the script that looks at the anchor and cuts; replies are as they come over the wire."""
        answers: dict[str, Any] = {"XINFO": self._xinfo, "XRANGE": self._xrange, "EVAL": self._cut}
        self._replies.append(answers[command](*arguments))

    def _xinfo(self, _: str, name: bytes) -> list[Any]:
        journal = self._journals[int(name)] or EMPTY
        first, last = (_reply(journal.entries[at]) if journal.entries else None for at in (0, -1))
        return [
            *(b"length", len(journal.entries), b"last-generated-id", str(journal.last).encode()),
            *(b"max-deleted-entry-id", str(journal.deleted).encode(), b"entries-added", journal.added),
            *(b"first-entry", first, b"last-entry", last),
        ]

    def _xrange(self, name: bytes, begin: str, end: str, _: str, count: int) -> list[Any]:
        journal = self._journals[int(name)] or EMPTY
        after = EntryId.parse(begin[1:]) if begin.startswith("(") else EntryId.parse(begin).preceding()
        return [_reply(entry) for entry in journal.entries if after < entry.id <= EntryId.parse(end)][:count]

    def _cut(self, _: str, __: int, name: bytes, keep_from: str, anchor: str, *fields: Any) -> int:
        journal = self._later.journals[int(name)] or EMPTY
        if [entry.fields for entry in journal.entries if str(entry.id) == anchor] == [[*fields]]:
            self.cuts[int(name)] = EntryId.parse(keep_from)
        return 0


def _reply(entry: Entry) -> list[Any]:
    return [str(entry.id).encode(), entry.fields]


class _Block:
    """What was read of the journals, as `intake.entries.Block` shows it."""

    def __init__(self, live: Live, read_ranges: Sequence[ReadRange]) -> None:
        self._take(
            [
                entry
                for read_range in read_ranges
                for entry in _between(live.journals[int(read_range.journal)], read_range)
            ]
        )

    def _take(self, rows: Sequence[Entry]) -> None:
        parts = [(str(journal), len([*entries])) for journal, entries in groupby(rows, key=lambda row: row.journal)]
        self.rows, self.journals, self.counts = tuple(rows), [name for name, _ in parts], [count for _, count in parts]

    def slice(self, start: int, stop: int) -> Any:
        """A part of it."""
        part = copy(self)
        part._take(self.rows[start:stop])
        return part

    def id(self, at: int) -> bytes:
        """The id of an entry."""
        return str(self.rows[at].id).encode()

    @property
    def bounds(self) -> list[tuple[bytes, bytes]]:
        """The ids of the first and last entry of each journal."""
        stops = [*accumulate(self.counts)]
        return [(self.id(stop - count), self.id(stop - 1)) for stop, count in zip(stops, self.counts, strict=True)]

    def last_fields(self) -> list[list[bytes]]:
        """The fields of the last entry of each journal."""
        return [self.rows[stop - 1].fields for stop in accumulate(self.counts)]


def _between(journal: Journal | None, read_range: ReadRange) -> list[Entry]:
    return [entry for entry in journal.entries if read_range.after < entry.id <= read_range.upto] if journal else []
