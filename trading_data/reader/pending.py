"""Rows that are not in the archive yet: batches in the intake and entries of the journals, kept up to date during a stream.

Belongs here: reading and holding both. Does not: their order, and what the archive has committed meanwhile (`merge`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.archive.acceptance import Acceptance, bounds_of
from trading_data.archive.known import inside_ranges
from trading_data.archive.order import Accepted
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.versions import Indices, Mask, microseconds, microseconds_of
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError, LiveTierError
from trading_data.intake.accounted import of_this_incarnation
from trading_data.intake.batch import Batch, JournalRange, schema
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, JournalInfo, ReadRange, find_journals, inspect, read
from trading_data.live.ranges import first_gap, next_incarnation
from trading_data.reader.archive_queries import ArchivedRanges, inside
from trading_data.reader.query import Query, Range
from trading_data.times import now

NOT_KNOWN = 2**62
"""The incarnation of a journal that was never drained: newer than every known one."""
_ANY_MOMENT = Accepted(0, 2**62)
"""The acceptance of an entry retried from quarantine, which only the load knows: it may add a missing row, and no more."""


@dataclass(frozen=True)
class PendingRows:
    """The rows of a batch, or of one read of the journals, that a query may need.

    Attributes:
        dataset: the batch's.
        head: the batch without its table; a read of the journals has one too, of origin `journal`.
        rows: good rows: the dataset's columns, `_journal` (position in the head's journals), `_ms` and `_seq`.
        live: they were read from the journals, and no known batch has them.
    """

    dataset: Dataset
    head: Batch
    rows: pa.Table
    live: bool = False

    @property
    def table(self) -> pa.Table:
        """The rows with the dataset's columns only."""
        return self.rows.select(list(self.dataset.names))

    @property
    def first_us(self) -> int:
        """When the first of the rows was accepted, as far as that is known: microseconds since 1970."""
        return microseconds_of(bounds_of(replace(self.head, table=self.rows))[0])

    def accepted(self, position: int) -> Accepted:
        """When and where a row was accepted."""
        if self.head.origin == "quarantine":
            return _ANY_MOMENT
        accepted = Acceptance(self.dataset, self.head, self.rows.slice(position, 1), lambda _: ()).of(0)
        if self.live and accepted.entries is not None:
            # What a journal holds now comes after everything that was drained from it before, whatever its incarnation.
            accepted = replace(accepted, entries=accepted.entries._replace(incarnation=NOT_KNOWN))
        return accepted

    @cached_property
    def times(self) -> Indices:
        """The rows' times, sorted: microseconds since 1970."""
        return np.sort(microseconds(self.dataset, self.rows))

    def without(self, rows: Mask) -> "PendingRows":
        """The same without the rows of a mask."""
        return replace(self, rows=self.rows.filter(pa.array(~rows)))

    def of(self, range_: Range) -> "PendingRows":
        """The same with only the rows in a range; all where rows have an identity, as a version may have another time."""
        if self.dataset.identity is not None or not self.rows.num_rows:
            return self
        times = self.rows[self.dataset.key[1]]
        low, high = pa.scalar(range_[0], times.type), pa.scalar(range_[1], times.type)
        if not times.null_count and low.value <= self.times[0] and self.times[-1] < high.value:
            return self
        return replace(self, rows=inside(self.dataset, self.rows, range_))


class PendingBatches:
    """The pending rows of a query, as of the last `catch_up`.

    Attributes:
        query: whose rows are held.
        files: by batch, in the order of the intake.
        live: from the journals, oldest first.
        live_away: why the journals could not be read; None if they were.
        unread: why batches, or the intake, could not be read.
    """

    def __init__(self, client: Client, intake: Intake, query: Query, earliest: datetime) -> None:
        """Nothing is read before the first `catch_up`.

        Args:
            client: from `connect_for_archiver`.
            intake: where batches wait.
            query: its symbols choose the rows where the key has them, and its range does where rows have no identity.
            earliest: start of the first day partition.
        """
        self._client, self._intake, self.query, self._earliest = client, intake, query, earliest
        self._no_rows = schema(query.dataset).empty_table().drop_columns(["_kind", "_reason", "_payload"])
        self._seen: dict[str, EntryId] = {}
        self.files: dict[BatchFile, PendingRows] = {}
        self.live: list[PendingRows] = []
        self.live_away: LiveTierError | None = None
        self.unread: list[IntakeError] = []

    def catch_up(self, archived: Callable[[], ArchivedRanges], *, partial: bool = False) -> None:
        """Read the journals from where they were seen or archived, then the intake. So an entry that moves is read twice.

        Args:
            archived: returns the archived ranges, whose entries every later read of the archive has; called only if a journal
                has entries. All other entries are read from the journals.
            partial: keep errors in `live_away` and `unread` instead of raising them.

        Raises:
            LiveTierError, IntakeError: the journals or a batch cannot be read.
            ArchiveTierError: by `archived`.
        """
        self.live_away, self.unread = None, []
        try:
            self._read_journals(archived)
        except LiveTierError as error:
            if not partial:
                raise
            self.live_away = error
        try:
            files = self._intake.pending(self.query.dataset.name)
        except IntakeError as error:
            self._note(error, partial=partial)
            files = list(self.files)
        self.files = dict(self._read_files(files, partial=partial))

    @property
    def hashes(self) -> list[str]:
        """The content hashes of the batches held."""
        return [file.content_hash for file in self.files]

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day of the rows held; without rows the latest date first, which is an empty range."""
        times = [held.times for held in (*self.files.values(), *self.live) if held.rows.num_rows]
        if not times:
            return date.max, date.min
        edges = pa.array([min(part[0] for part in times), max(part[-1] for part in times)], pa.int64())
        first, last = edges.cast(pa.timestamp("us")).to_pylist()
        return first.date(), last.date()

    @property
    def drained_at(self) -> datetime | None:
        """When the newest of the held batches from journals was drained."""
        return max((held.head.created for held in self.files.values() if held.head.origin == "journal"), default=None)

    def next_moment(self, moment: datetime) -> datetime | None:
        """The first time of a row held, at or after `moment`; None if there is none."""
        low = pa.scalar(moment, pa.timestamp("us", tz="UTC")).value
        candidates = []
        for held in [*self.files.values(), *self.live]:
            position = int(np.searchsorted(held.times, low))
            if position < len(held.times):
                candidates.append(int(held.times[position]))
        return pa.scalar(min(candidates), pa.timestamp("us", tz="UTC")).as_py() if candidates else None

    def _read_journals(self, archived: Callable[[], ArchivedRanges]) -> None:
        dataset, names = self.query.dataset, self.query.journals
        if not dataset.journal:
            return
        if names is None:
            names = find_journals(self._client, dataset)
        infos = inspect(self._client, names)
        ranges = archived() if self.live or any(info.length for info in infos.values()) else {}
        known = {name: ranges[ledger_name(name)] for name in infos if ledger_name(name) in ranges}
        current = of_this_incarnation(self._client, known, infos)
        ranges_to_read = []
        for name, info in infos.items():
            after = first_gap(current.get(name, []), info.last)
            seen = self._seen.get(name, BEGINNING) if name in current or name not in known else BEGINNING
            begin = info.last if after is None else max(after[0], seen)
            if info.last < seen:
                begin = BEGINNING  # the journal went back since it was last read
            if info.length and begin < info.last:
                ranges_to_read.append(ReadRange(name, begin, info.last, info.length))
        entries = Entries()
        for reading in read(self._client, ranges_to_read):
            entries.add(reading)
        self._seen |= {name: info.last for name, info in infos.items()}
        self.live = [held for held in (self._not_archived(held, ranges) for held in self.live) if held.rows.num_rows]
        if len(entries):
            table = to_table(dataset, entries, self._earliest).cast(schema(dataset))
            numbers = {
                name: current[name][-1].incarnation
                if name in current
                else next_incarnation(known.get(name, []), NOT_KNOWN)
                for name in entries.journals
            }
            parts = tuple(_live_range(name, infos[name], numbers[name]) for name in entries.journals)
            held = self._hold(Batch(dataset.name, "journal", now(), "", parts, table))
            self.live.append(replace(held, live=True))

    def _read_files(self, files: Sequence[BatchFile], *, partial: bool) -> Iterator[tuple[BatchFile, PendingRows]]:
        for file in files:
            held = self.files.get(file)
            if held is not None:
                yield file, held
                continue
            try:
                head = self._intake.remembered_head(file)
                if head is not None and not self._needs(head):
                    yield file, PendingRows(self.query.dataset, self._shortened(head), self._no_rows)
                    continue
                batch = self._intake.read(file)
            except IntakeError as error:
                self._note(error, partial=partial)
                continue
            if batch is not None:
                yield file, self._hold(batch)

    def _needs(self, head: Batch) -> bool:
        """Whether a batch may have rows that the query needs, as far as its head tells."""
        query, subjects = self.query, head.subjects
        if (
            query.symbols is not None
            and query.symbol_in_key
            and subjects is not None
            and subjects.isdisjoint(query.symbols)
        ):
            return False
        if query.dataset.identity is None and head.span is not None:
            start, end = map(microseconds_of, query.rows_of(query.span))
            return start <= head.span[1] and head.span[0] < end
        return True

    def _shortened(self, head: Batch) -> Batch:
        """The head of a batch whose rows are not needed, with the ranges of the query's journals only."""
        journals = self.query.journals
        if journals is None or head.origin != "journal":
            return head
        parts = tuple(part for name in journals for part in head.of_journal.get(name, ()))
        return replace(head, journals=parts)

    def _note(self, error: IntakeError, *, partial: bool) -> None:
        if not partial:
            raise error
        self.unread.append(error)

    def _hold(self, batch: Batch) -> PendingRows:
        rows, query = batch.rows, self.query
        if query.symbols is not None and query.symbol_in_key:
            chosen = pc.is_in(rows[query.dataset.about], pa.array(query.symbols, pa.string()))
            rows = rows if pc.all(chosen).as_py() else rows.filter(chosen)
        head = replace(batch, table=batch.table.slice(0, 0))
        return PendingRows(query.dataset, head, rows).of(query.rows_of(query.span))

    def _not_archived(self, held: PendingRows, ranges: ArchivedRanges) -> PendingRows:
        """Without what was archived after it was read, so that a long stream does not hold everything that passes by."""
        archived = inside_ranges(held.head, held.rows, ranges)
        return held.without(archived) if archived.any() else held


def _live_range(journal: str, info: JournalInfo, incarnation: int) -> JournalRange:
    """The range of entries that were read and not drained: all of the journal."""
    return JournalRange(journal, str(BEGINNING), "", str(info.last), 0, incarnation=incarnation)
