"""Load in a small world: the project's own plan and order, on tables that are tuples.

What SQL answers is a few lines here: which entries lie in archived ranges, which are recognised, which key is held with which
value, and by which batch. Belongs here: one batch into one archive. Does not: which batch comes next (`archivers`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from trading_data.archive.acceptance import Acceptance, RowOrigin, _accepted, bounds_of
from trading_data.archive.ledger import ArchivedRange
from trading_data.archive.order import Accepted, Order, compare, is_complete, may_lie_between
from trading_data.archive.plan import Count, EntryVersion, HeldRow, Plan, _plan_key
from trading_data.archive.versions import microseconds_of
from trading_data.archive.write_books import range_changes
from trading_data.datasets import METRICS
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange, joined
from trading_data_tests.worlds.parts import JOURNAL_OF_KEY, Archive, Batch, Entry, Origin, Row

BY_RANGE = "an entry inside an archived range of its incarnation is a repetition, whatever it says"
NOT_CONFIRMED = "an entry that says what the row says does not make the row newer"
QUARANTINE_UNKNOWN = "an entry that waits in quarantine is not recognised"
Faults = frozenset[str]
"""Which of these three faults the load path of a world has."""
STILL_THERE: Faults = frozenset([BY_RANGE])
"""Those that the load path itself still has. Worlds are explored without them, for what else there may be."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 1
"""The number of every batch: which one a row came from is told by its part of the journal."""


class Loaded(NamedTuple):
    """The archive afterwards, and what each entry was counted as."""

    archive: Archive
    counts: tuple[Count, ...]


@cache
def load(archive: Archive, batch: Batch, faults: Faults) -> Loaded:
    """Load one batch; one that is in the ledger changes nothing."""
    if batch in archive.ledger:
        return Loaded(archive, ())
    return _Load(archive, batch, faults).run()


class _Load:
    """The tables while a batch is loaded."""

    def __init__(self, archive: Archive, batch: Batch, faults: Faults) -> None:
        self.archive, self.batch, self.faults = archive, batch, faults
        self.rows, self.revisions = list(archive.rows), list(archive.revisions)
        self.quarantine = set(archive.quarantine)
        self.counts = [Count.REPLAYED] * len(batch.rows)

    def run(self) -> Loaded:
        """Decide on every entry, key by key, and write."""
        places: dict[int, list[int]] = {}
        for at, entry in enumerate(self.batch.rows):
            if not self._is_repetition(entry):
                places.setdefault(entry.key, []).append(at)
        for key, of_key in places.items():
            self._load_key(key, of_key)
        new = (entry for entry, count in zip(self.batch.rows, self.counts, strict=True) if count != Count.REPLAYED)
        after = self.archive.having(
            rows=tuple(self.rows),
            revisions=tuple(self.revisions),
            ranges=self._ranges(),
            quarantine=frozenset(self.quarantine),
            counted=self.archive.counted.union(new),
            ledger=self.archive.ledger | {self.batch},
        )
        return Loaded(after, tuple(self.counts))

    def _is_repetition(self, entry: Entry) -> bool:
        """Whether an entry is archived: inside an archived range, recognised by its hash, and its values are known.

        As `archive.known` queries it.
        """
        if self.batch.origin != "journal":
            return False
        same, other = self._inside(entry)
        if same and BY_RANGE in self.faults:
            return True
        row = self.archive.rows[entry.key]
        if row is None or entry not in self.archive.counted or not (same or other):
            return False
        if entry in self.archive.quarantine and QUARANTINE_UNKNOWN not in self.faults:
            return True
        return entry.value == row.value or entry.value in self.archive.revisions[entry.key]

    def _inside(self, entry: Entry) -> tuple[bool, bool]:
        """Whether an entry lies in an archived range of its own incarnation, and of another one."""
        own = next(one.incarnation for journal, one in self.batch.ranges if journal == entry.journal)
        same = {
            range_.entries.incarnation == own
            for range_ in self.archive.ranges[entry.journal]
            if entry.id in range_.entries
        }
        return True in same, False in same

    def _load_key(self, key: int, places: Sequence[int]) -> None:
        row, entries = self.rows[key], self.batch.rows
        plan = Plan(np.zeros(len(entries), dtype=np.int8))
        plan_key([self._version(at, entries[at], row) for at in places], plan)
        for at in [*plan.update, *plan.insert]:
            if row is not None:
                self.revisions[key] |= {row.value}
            self.rows[key] = Row(entries[at].value, _origin(self.batch, JOURNAL_OF_KEY[key]))
        self.revisions[key] |= {entries[at].value for at in plan.revise}
        self.quarantine |= {entries[at] for at in plan.reject}
        for at in places:
            self.counts[at] = Count(int(plan.counts[at]))
        after = self.rows[key]
        again = [at for at in places if self.counts[at] == Count.UNCHANGED]
        if row is not None and after is row and again:
            last = int(self._accepted.last_us(np.array(again)).max())
            others = -1 if self.batch.origin == "journal" else last
            self.rows[key] = replace(row, again=(max(row.again[0], others), max(row.again[1], last)))

    def _version(self, at: int, entry: Entry, row: Row | None) -> EntryVersion:
        if row is None:
            return EntryVersion(at, (entry.value,))
        order = self._order(at, entry, row)
        if row.value == entry.value and not (order is Order.NEWER and self._takes_over(at, entry, row)):
            return EntryVersion(at, (entry.value,), equal=True)
        return EntryVersion(at, (entry.value,), held=HeldRow(_BATCH, order))

    def _takes_over(self, at: int, entry: Entry, row: Row) -> bool:
        """Whether an entry that says what the row says takes its place, as `archive.known` decides."""
        if self.batch.origin != "journal" or NOT_CONFIRMED in self.faults:
            return False
        journal = JOURNAL_OF_KEY[entry.key]
        own = next(part for number, part in self.batch.ranges if number == journal)
        own_ranges = [
            range_ for range_ in self.archive.ranges[journal] if range_.entries.incarnation == own.incarnation
        ]
        new = sum(row.journal == journal and not self._inside(row)[0] for row in self.batch.rows)
        parts = joined([own, *(part.entries for part in own_ranges)])
        if is_complete(parts, new + sum(part.count for part in own_ranges)):
            return False
        return may_lie_between(self._row(row, str(journal)), self._accepted.of(at), parts)

    def _order(self, at: int, entry: Entry, row: Row) -> Order:
        """As `archive.known` queries it."""
        again = row.again[self.batch.origin != "journal"]
        if self._accepted.surely_after(at, max(row.origin.batch.last_us, again)):
            return Order.NEWER
        journal = str(JOURNAL_OF_KEY[entry.key])
        accepted = replace(self._row(row, journal), confirmed_us=again)
        return compare(self._accepted.of(at), accepted, self._ranges_of(journal))

    def _row(self, row: Row, journal: str) -> Accepted:
        return _accepted(row.origin.batch, journal, row.origin.part)

    @cached_property
    def _accepted(self) -> Acceptance:
        batch = _as_batch(self.batch)
        return Acceptance(METRICS, batch, batch.table, self._ranges_of)

    def _ranges_of(self, journal: str) -> Sequence[EntryRange]:
        return [range_.entries for range_ in self.archive.ranges[int(journal)]] if journal.isdigit() else []

    def _ranges(self) -> tuple[tuple[ArchivedRange, ...], ...]:
        """The archived ranges of each journal afterwards."""
        ranges = list(self.archive.ranges)
        for journal, entries in self.batch.ranges:
            new = [entry for entry in self.batch.rows if entry.journal == journal and not self._was_counted(entry)]
            written, gone = range_changes(ranges[journal], [ArchivedRange(entries, len(new))])
            kept = {(old.entries.incarnation, old.entries.after): old for old in ranges[journal]}
            for range_ in gone:
                del kept[range_.incarnation, range_.after]
            kept |= {(new.entries.incarnation, new.entries.after): new for new in written}
            ranges[journal] = tuple(kept[at] for at in sorted(kept))
        return tuple(ranges)

    def _was_counted(self, entry: Entry) -> bool:
        same, _ = self._inside(entry)
        return same and self._is_repetition(entry)


def plan_key(versions: Sequence[EntryVersion], plan: Plan) -> None:
    """What `archive.plan.plan` decides about the entries of one key; those that all say what the row says are no hard case."""
    if all(version.equal for version in versions):
        plan.counts[[version.at for version in versions]] = Count.UNCHANGED
    else:
        _plan_key(METRICS, versions, plan)


@cache
def _origin(batch: Batch, of_key: int) -> Origin:
    """A batch, as `archive.acceptance.accepted_of` reads it off the ledger."""
    origin = RowOrigin(_BATCH, batch.origin, *map(microseconds_of, bounds_of(_as_batch(batch))))
    for (journal, one), part in zip(batch.ranges, batch.parts, strict=False):
        if journal == of_key:
            entry_range = EntryRange(one.incarnation, one.after, one.last)
            return Origin(origin, (entry_range, EntryId.parse(part.first or part.last)))
    return Origin(origin, None)


@cache
def _as_batch(batch: Batch) -> Any:
    return _AsBatch(batch)


class _AsBatch:
    """A batch as `archive.acceptance` reads it."""

    def __init__(self, batch: Batch) -> None:
        self.origin, self.journals, self.table = batch.origin, batch.parts, _Table(batch)
        self.created = _moment(batch.created)
        self.since = None if batch.since is None else _moment(batch.since)


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


class _Table:
    """The columns of a batch that say where its entries are from."""

    def __init__(self, batch: Batch) -> None:
        places = {journal: at for at, (journal, _) in enumerate(batch.ranges)}
        self.num_rows = len(batch.rows)
        self._columns = {
            "_journal": _Column(places.get(row.journal, 0) for row in batch.rows),
            "_ms": _Column(row.id.ms for row in batch.rows),
            "_seq": _Column(row.id.seq for row in batch.rows),
        }

    def __getitem__(self, name: str) -> "_Column":
        """A column."""
        return self._columns[name]


class _Column(list[Any]):
    def to_pylist(self) -> list[Any]:
        return self

    def to_numpy(self) -> Any:
        return np.array(self)

    def __getitem__(self, at: Any) -> Any:
        return _Cell(super().__getitem__(at))


class _Cell(NamedTuple):
    value: Any

    def as_py(self) -> Any:
        return self.value
