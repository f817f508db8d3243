"""What is not in the archive yet: batches in the intake, and what the journals still hold, kept up to date while a stream
is read.

Belongs here: reading both and holding them. Does not: their order, and what the archive has committed meanwhile (`pieces`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.archive.known import inside_ranges
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.versions import Indices, Mask, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError, LiveTierError
from trading_data.intake.accounted import of_this_incarnation
from trading_data.intake.batch import Batch, JournalRange, schema
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, JournalInfo, ReadRange, find_journals, inspect, read
from trading_data.live.ranges import first_gap, next_incarnation
from trading_data.reader.archive_queries import Range
from trading_data.reader.watermarks import ArchivedRanges
from trading_data.times import now

NOT_KNOWN = 2**62
"""Stands for the incarnation of a journal that nobody has drained yet: newer than every known one."""


@dataclass(frozen=True)
class PendingRows:
    """A batch, or what was read of the journals at one go (origin `journal`, too): of its good rows those asked for.

    `head` is the batch without its table; `live` says that the entries are not drained as far as is known. `rows` have the
    dataset's columns, `_journal` (position in the head's journals), `_ms` and `_seq`.
    """

    dataset: Dataset
    head: Batch
    rows: pa.Table
    live: bool = False

    @cached_property
    def times(self) -> Indices:
        """The rows' times, sorted: microseconds since 1970."""
        return np.sort(microseconds(self.dataset, self.rows))

    def without(self, rows: Mask) -> "PendingRows":
        """The same without some rows."""
        return replace(self, rows=self.rows.filter(pa.array(~rows)))

    def of(self, range_: Range) -> "PendingRows":
        """The same with only the rows in a range; all where rows have an identity: a version may say another moment."""
        if self.dataset.identity is not None:
            return self
        times = self.rows[self.dataset.key[1]]
        low, high = pa.scalar(range_[0], times.type), pa.scalar(range_[1], times.type)
        if not times.null_count and (not len(times) or (low.value <= self.times[0] and self.times[-1] < high.value)):
            return self
        return replace(self, rows=self.rows.filter(pc.and_(pc.greater_equal(times, low), pc.less(times, high))))


class PendingBatches:
    """What waits of a dataset, as far as it has been read: `files` in the order of the intake, and `live`, oldest first.

    `live_away` and `unread` say what could not be read.
    """

    def __init__(
        self,
        client: Client,
        intake: Intake,
        dataset: Dataset,
        subjects: Sequence[str] | None,
        span: Range,
        earliest: datetime,
    ) -> None:
        """Nothing is read before the first `catch_up`.

        Args:
            client: from `connect_for_archiver`.
            intake: where batches wait.
            dataset: what to read.
            subjects: what the rows are about, None for all; rows whose key does not tell it are all held.
            span: the times of the rows that are held; of a dataset whose rows have an identity, all are.
            earliest: start of the first day partition.
        """
        self._client, self._intake, self.dataset = client, intake, dataset
        self._subjects, self._span, self._earliest = subjects, span, earliest
        self._seen: dict[str, EntryId] = {}
        self.files: dict[BatchFile, PendingRows] = {}
        self.live: list[PendingRows] = []
        self.live_away: LiveTierError | None = None
        self.unread: list[IntakeError] = []

    def catch_up(self, archived: Callable[[], ArchivedRanges], *, partial: bool = False) -> None:
        """First the journals after what was seen or is archived, then the intake: whatever moves meanwhile is seen twice.

        Args:
            archived: asks for the archived ranges, in which entries are in the archive for certain, whoever asks it later;
                called only if a journal has entries. What it leaves out is read from the journals.
            partial: note what cannot be read in `live_away` and `unread` instead of raising it.

        Raises:
            LiveTierError, IntakeError: the journals or a batch cannot be read.
            ArchiveTierError: of `archived`.
        """
        self.live_away, self.unread = None, []
        try:
            self._read_journals(archived)
        except LiveTierError as error:
            if not partial:
                raise
            self.live_away = error
        try:
            waiting = self._intake.pending(self.dataset.name)
        except IntakeError as error:
            self._note(error, partial=partial)
            waiting = list(self.files)
        self.files = dict(self._read_files(waiting, partial=partial))

    @property
    def hashes(self) -> list[str]:
        """The content hashes of the batches held."""
        return [file.content_hash for file in self.files]

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day that a held row lies in; the last one first where there are none."""
        held = [one for one in (*self.files.values(), *self.live) if len(one.times)]
        if not held:
            return date.max, date.min
        edges = pa.array([min(one.times[0] for one in held), max(one.times[-1] for one in held)], pa.int64())
        first, last = edges.cast(pa.timestamp("us")).to_pylist()
        return first.date(), last.date()

    @property
    def drained_at(self) -> datetime | None:
        """When the newest of the held batches from journals was drained."""
        return max((held.head.created for held in self.files.values() if held.head.origin == "journal"), default=None)

    def next_moment(self, moment: datetime) -> datetime | None:
        """The first time at or after `moment` that a row held has; None if there is none."""
        low = pa.scalar(moment, pa.timestamp("us", tz="UTC")).value
        found = []
        for held in [*self.files.values(), *self.live]:
            at = int(np.searchsorted(held.times, low))
            if at < len(held.times):
                found.append(int(held.times[at]))
        return pa.scalar(min(found), pa.timestamp("us", tz="UTC")).as_py() if found else None

    def _read_journals(self, archived: Callable[[], ArchivedRanges]) -> None:
        dataset = self.dataset
        if not dataset.journal:
            return
        if dataset.carried and self._subjects is not None:
            names = [dataset.journal_of(subject) for subject in self._subjects]
        else:
            names = find_journals(self._client, dataset)
        infos = inspect(self._client, names)
        ranges = archived() if self.live or any(info.length for info in infos.values()) else {}
        known = {name: ranges[ledger_name(name)] for name in infos if ledger_name(name) in ranges}
        current = of_this_incarnation(self._client, known, infos)
        stretches = []
        for name, info in infos.items():
            after = first_gap(current.get(name, []), info.last)
            seen = self._seen.get(name, BEGINNING) if name in current or name not in known else BEGINNING
            begin = info.last if after is None else max(after[0], seen)
            if info.last < seen:
                begin = BEGINNING  # the journal went back since it was looked at
            if info.length and begin < info.last:
                stretches.append(ReadRange(name, begin, info.last, info.length))
        entries = Entries()
        for reading in read(self._client, stretches):
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

    def _read_files(self, waiting: Sequence[BatchFile], *, partial: bool) -> Iterator[tuple[BatchFile, PendingRows]]:
        for file in waiting:
            held = self.files.get(file)
            if held is not None:
                yield file, held
                continue
            try:
                batch = self._intake.read(file)
            except IntakeError as error:
                self._note(error, partial=partial)
                continue
            if batch is not None:
                yield file, self._hold(batch)

    def _note(self, error: IntakeError, *, partial: bool) -> None:
        if not partial:
            raise error
        self.unread.append(error)

    def _hold(self, batch: Batch) -> PendingRows:
        rows = batch.rows
        if self._subjects is not None and self.dataset.about in self.dataset.key:
            asked = pc.is_in(rows[self.dataset.about], pa.array(self._subjects, pa.string()))
            rows = rows if pc.all(asked).as_py() else rows.filter(asked)
        return PendingRows(self.dataset, replace(batch, table=batch.table.slice(0, 0)), rows).of(self._span)

    def _not_archived(self, held: PendingRows, ranges: ArchivedRanges) -> PendingRows:
        """Without what has been archived since it was read, so that a long stream does not hold all that passes by."""
        inside = inside_ranges(held.head, held.rows, ranges)
        return held.without(inside) if inside.any() else held


def _live_range(journal: str, info: JournalInfo, incarnation: int) -> JournalRange:
    """The range that entries which were only read stand in: all of the journal."""
    return JournalRange(journal, str(BEGINNING), "", str(info.last), 0, incarnation=incarnation)
