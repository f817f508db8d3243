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

from trading_data.archive.versions import Indices, Mask, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError, LiveTierError
from trading_data.intake.batch import Batch, JournalRange, schema
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.snapshot import noted_positions
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, Stretch, find_journals, inspect, read
from trading_data.reader.archived import Range
from trading_data.reader.books import Marks
from trading_data.times import now


@dataclass(frozen=True)
class Held:
    """A batch, or what was read of the journals at one go (origin `live`): of its good rows those that were asked for.

    `rows` have the dataset's columns, `_journal` (position in `journals`), `_ms` and `_seq`.
    """

    dataset: Dataset
    origin: str
    created: datetime
    journals: tuple[JournalRange, ...]
    rows: pa.Table

    @cached_property
    def times(self) -> Indices:
        """The rows' times, sorted: microseconds since 1970."""
        return np.sort(microseconds(self.dataset, self.rows))

    def after(self, marks: Sequence[EntryId]) -> Mask:
        """Which rows were accepted after the mark of their journal; `marks` has one for each of `journals`."""
        of_row = self.rows["_journal"].to_numpy()
        ms, seq = self.rows["_ms"].to_numpy(), self.rows["_seq"].to_numpy()
        mark_ms = np.array([mark.ms for mark in marks], dtype=np.uint64)[of_row]
        mark_seq = np.array([mark.seq for mark in marks], dtype=np.uint64)[of_row]
        return (ms > mark_ms) | ((ms == mark_ms) & (seq > mark_seq))  # type: ignore[no-any-return]

    def of(self, one: Range) -> "Held":
        """The same with only the rows in a range."""
        times = self.rows[self.dataset.key[1]]
        low, high = pa.scalar(one[0], times.type), pa.scalar(one[1], times.type)
        if not times.null_count and (not len(times) or (low.value <= self.times[0] and self.times[-1] < high.value)):
            return self
        return replace(self, rows=self.rows.filter(pc.and_(pc.greater_equal(times, low), pc.less(times, high))))


class Waiting:
    """What waits of a dataset, as far as it has been read: `files` in the order of the intake, and `live`, oldest first.

    `live_away` and `unread` say what could not be read, and `noted` how far the journals were drained by Redis' own word,
    where that is wanted.
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
            span: the times of the rows that are held.
            earliest: start of the first day partition.
        """
        self._client, self._intake, self.dataset = client, intake, dataset
        self._subjects, self._span, self._earliest = subjects, span, earliest
        self._seen: dict[str, EntryId] = {}
        self.files: dict[BatchFile, Held] = {}
        self.live: list[Held] = []
        self.noted: dict[str, EntryId] = {}
        self.live_away: LiveTierError | None = None
        self.unread: list[IntakeError] = []

    def catch_up(self, archived: Callable[[], Marks] | None, *, partial: bool = False) -> None:
        """First the journals after what was seen or is archived, then the intake: whatever moves meanwhile is seen twice.

        Args:
            archived: asks for marks, at or before which entries are in the archive for certain, whoever asks it later;
                called only if a journal has entries. None where the archive cannot be asked: the journals are read from
                their beginning, and `noted` is read too.
            partial: note what cannot be read in `live_away` and `unread` instead of raising it.

        Raises:
            LiveTierError, IntakeError: the journals or a batch cannot be read.
            ArchiveTierError: of `archived`.
        """
        self.live_away, self.unread = None, []
        try:
            self._read_journals(archived or Marks)
            if archived is None:
                self.noted = {name: at.last for name, at in noted_positions(self._client, self.dataset).items()}
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
        return max((held.created for held in self.files.values() if held.origin == "journal"), default=None)

    def next_moment(self, moment: datetime) -> datetime | None:
        """The first time at or after `moment` that a row held has; None if there is none."""
        low = pa.scalar(moment, pa.timestamp("us", tz="UTC")).value
        found = []
        for held in [*self.files.values(), *self.live]:
            at = int(np.searchsorted(held.times, low))
            if at < len(held.times):
                found.append(int(held.times[at]))
        return pa.scalar(min(found), pa.timestamp("us", tz="UTC")).as_py() if found else None

    def _read_journals(self, archived: Callable[[], Marks]) -> None:
        dataset = self.dataset
        if dataset.carried and self._subjects is not None:
            names = [dataset.journal_of(subject) for subject in self._subjects]
        else:
            names = find_journals(self._client, dataset)
        infos = inspect(self._client, names)
        marks = archived() if self.live or any(info.length for info in infos.values()) else Marks()
        stretches = []
        for name, info in infos.items():
            after = max(self._seen.get(name, BEGINNING), marks[name].entry)
            if info.last < after:
                after = BEGINNING  # the journal went back, or was archived beyond this since it was looked at
            if info.length and after < info.last:
                stretches.append(Stretch(name, after, info.last, info.length))
        entries = Entries()
        for reading in read(self._client, stretches):
            entries.add(reading)
        self._seen |= {name: info.last for name, info in infos.items()}
        self.live = [held for held in (self._not_archived(held, marks) for held in self.live) if held.rows.num_rows]
        if len(entries):
            table = to_table(dataset, entries, self._earliest).cast(schema(dataset))
            ranges = tuple(JournalRange(name, "0-0", "0-0", "0-0", 0) for name in entries.journals)
            self.live.append(self._hold(Batch(dataset.name, "live", now(), "", ranges, table)))

    def _read_files(self, waiting: Sequence[BatchFile], *, partial: bool) -> Iterator[tuple[BatchFile, Held]]:
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

    def _hold(self, batch: Batch) -> Held:
        rows = batch.rows
        if self._subjects is not None and self.dataset.about in self.dataset.key:
            asked = pc.is_in(rows[self.dataset.about], pa.array(self._subjects, pa.string()))
            rows = rows if pc.all(asked).as_py() else rows.filter(asked)
        return Held(self.dataset, batch.origin, batch.created, batch.journals, rows).of(self._span)

    @staticmethod
    def _not_archived(held: Held, marks: Marks) -> Held:
        """Without what has been archived since it was read, so that a long stream does not hold all that passes by."""
        keep = held.after([marks[one.journal].entry for one in held.journals])
        return held if keep.all() else replace(held, rows=held.rows.filter(pa.array(keep)))
