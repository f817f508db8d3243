"""Draining the journals into the intake: read all entries not yet accounted for, and write them durably with their ranges.

Belongs here: what to read, and the order of the steps. Does not: which entries are accounted for (`intake.accounted`), reading
(`intake.drain`), the meaning of entries (`intake.entries`), producers without a journal (`intake.poll_latest`).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from trading_data.collector import without_gc
from trading_data.datasets.declaration import Dataset
from trading_data.intake.accounted import Ranges, accounted_for, note, noted, of_this_incarnation
from trading_data.intake.batch import Batch, JournalRange, cut_by_days
from trading_data.intake.drain import drain
from trading_data.intake.entries import Block, Entries, Keep, to_table
from trading_data.intake.lease import lease
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import Client
from trading_data.live.journal import (
    BEGINNING,
    EntryId,
    JournalInfo,
    ReadRange,
    entry_digest,
    find_journals,
    first_entries,
    inspect,
    server_ms,
)
from trading_data.live.journal_reader import ROWS_PER_PAGE
from trading_data.live.ranges import (
    EntryRange,
    end_was_deleted,
    ends,
    first_gap,
    head_is_missing,
    joined,
    newest,
    next_incarnation,
)
from trading_data.times import now

BATCH_ENTRIES = 200_000
"""At most this many entries per batch: about 12 MB of Parquet. With `drain.BLOCK_BYTES`, the bound of the archiver's memory."""

MOST_ALONE = 100
"""If a journal has at most this many entries before a deleted one, each becomes a batch of its own. More become one batch, whose
range may then include deleted ids."""


@dataclass(frozen=True)
class DrainedBatch:
    """A batch written by a snapshot: its file, its ranges, and the numbers of accepted and rejected entries.

    `days` counts the accepted ones by UTC day.
    """

    file: BatchFile
    journals: tuple[JournalRange, ...]
    rows: int
    rejected: int
    first: datetime | None
    last: datetime | None
    days: dict[date, int]


def snapshot(
    client: Client,
    intake: Intake,
    dataset: Dataset,
    *,
    earliest: datetime,
    archived: Ranges | None,
    run_id: str = "",
    batch_entries: int = BATCH_ENTRIES,
    rows_per_pipeline: int = ROWS_PER_PAGE,
) -> Iterator[DrainedBatch]:
    """Drain every journal of a dataset into the intake, yielding each batch once it is durable.

    Another thread makes and writes a batch while the next one is read: one at a time, in order.

    Args:
        client: from `connect_for_archiver`.
        intake: where batches go.
        dataset: what to drain.
        earliest: start of the first day partition; older rows are rejected.
        archived: the ranges that the archive holds (`archive.ledger.archived_ranges`), None while it is unavailable.
        run_id: the draining run, for the ledger.
        batch_entries: at most this many entries per batch.
        rows_per_pipeline: entries read at once; more are faster and delay other clients longer.

    Raises:
        LiveTierError: the server is unavailable, or another process drains this dataset.
        IntakeError: the intake cannot be written; unwritten entries stay in the journals.
    """
    with lease(client, dataset) as still_ours:
        infos = inspect(client, find_journals(client, dataset), ends(archived or {}))
        known = accounted_for(client, intake, dataset, archived)
        progress = _DrainProgress(client, known, infos, partial(noted, client, dataset))
        durable = {name: list(ranges) for name, ranges in progress.covered.items()}

        def write(ranges: tuple[JournalRange, ...], table: pa.Table) -> DrainedBatch:
            still_ours()
            batch = Batch(dataset.name, "journal", now(), run_id, ranges, table)
            file = intake.put(batch)
            moved = {name: joined([*durable.get(name, []), range_]) for name, range_ in batch.ranges}
            durable.update(moved)
            note(client, dataset, moved)
            return describe(dataset, file, batch)

        @without_gc()
        def store(block: Block, began: "dict[str, _ReadPosition]") -> list[DrainedBatch]:
            return [
                write(ranges, table) for ranges, table in _parts(dataset, block, began, infos, earliest, intake.keep)
            ]

        with ThreadPoolExecutor(1, "intake") as beside:
            under_way: list[Future[list[DrainedBatch]]] = []
            while read_ranges := progress.uncovered():
                for block in drain(client, dataset, progress.uncovered, batch_entries, rows_per_pipeline, beside):
                    began = progress.take(block)
                    while under_way:
                        yield from under_way.pop().result()
                    under_way.append(beside.submit(store, block, began))
                progress.pass_over(read_ranges)
            while under_way:
                yield from under_way.pop().result()
        if vanished := tuple(progress.vanished(durable)):
            yield write(vanished, to_table(dataset, Entries(), earliest))


def entries_left(client: Client, intake: Intake, dataset: Dataset, archived: Ranges | None) -> int:
    """About how many entries a snapshot would drain now; 0 only if it would write nothing. Arguments and errors as `snapshot`."""
    infos = inspect(client, find_journals(client, dataset), ends(archived or {}))
    progress = _DrainProgress(client, accounted_for(client, intake, dataset, archived), infos, dict)
    left = sum(1 for _ in progress.vanished(progress.covered))
    while read_ranges := progress.uncovered():
        there = first_entries(client, read_ranges)
        left += sum(max(read_range.expected, 1) for read_range in read_ranges if read_range.journal in there)
        progress.pass_over(read_ranges)
    return left


def describe(dataset: Dataset, file: BatchFile, batch: Batch) -> DrainedBatch:
    """The figures of a batch just written."""
    times = batch.table[dataset.key[1]].filter(pc.is_null(batch.table["_kind"]))
    ends = pc.min_max(times).as_py()
    days = {day["values"]: day["counts"] for day in pc.value_counts(times.cast(pa.date32())).to_pylist()}
    rejected = batch.table.num_rows - len(times)
    return DrainedBatch(file, batch.journals, len(times), rejected, ends["min"], ends["max"], days)


class _ReadPosition(NamedTuple):
    """Where the reading of a journal continues: the incarnation, the entry before, and how many entries had been added by then.

    `added` is exact if `exact`, otherwise the least possible number; None if unknown.
    """

    incarnation: int
    after: EntryId
    added: int | None
    exact: bool = True


class _DrainProgress:
    """The covered ranges of each journal, and its first uncovered part, which is read next. `take` adds a block to the ranges."""

    def __init__(
        self, client: Client, known: Ranges, infos: Mapping[str, JournalInfo], noted: Callable[[], Ranges]
    ) -> None:
        self._client, self.infos = client, infos
        self._positions: dict[str, _ReadPosition] = {}
        self.covered = of_this_incarnation(client, known, infos)
        self._incarnation = {name: ranges[-1].incarnation for name, ranges in self.covered.items()}
        if len(self.covered) < len(infos):
            self._incarnation |= _incarnations(client, known, noted(), infos, self.covered)
        self._empty = {name: [head] for name in infos if (head := self._missing_head(name))}
        self._uncovered: dict[str, ReadRange] = {}
        for name in infos:
            self._find_uncovered(name)

    def uncovered(self) -> list[ReadRange]:
        """The first uncovered part of each journal."""
        return [*self._uncovered.values()]

    def pass_over(self, read_ranges: Sequence[ReadRange]) -> None:
        """Skip the parts of these that are still uncovered after reading: their entries were removed."""
        for read_range in read_ranges:
            name, left = read_range.journal, self._uncovered.get(read_range.journal)
            if left is not None and left.upto == read_range.upto:
                self._empty.setdefault(name, []).append(EntryRange(self._incarnation[name], left.after, left.upto))
                self._find_uncovered(name)

    def take(self, block: Block) -> dict[str, _ReadPosition]:
        """Count the entries of a block as covered; returns where each of its journals began."""
        began: dict[str, _ReadPosition] = {}
        for name, count, (first_id, last_id) in zip(block.journals, block.counts, block.bounds, strict=True):
            end = self._position(name, self._uncovered[name].after if name in self._uncovered else BEGINNING)
            if end.added is not None and end.added + count > self.infos[name].added:
                first = EntryId.parse(first_id).preceding()
                end = self._begin_anew(name, began.pop(name).after if name in began else first)
            last = EntryId.parse(last_id)
            if end.exact and not self._is_complete(name, end, last, count):
                end = end._replace(exact=False)
            began.setdefault(name, end)
            entry_range = EntryRange(end.incarnation, end.after, last, "", _added(end, last, count, self.infos[name]))
            self.covered[name] = joined([*self.covered.get(name, []), entry_range])
            self._positions[name] = _advanced(end, last, count)
            self._find_uncovered(name)
        return began

    def _is_complete(self, name: str, end: _ReadPosition, last: EntryId, count: int) -> bool:
        """Whether a block has every entry that was added between its ends: by count, or by querying the journal's figures again."""
        if end.added is None or last >= self.infos[name].last:
            return end.added is not None and self.infos[name].added - end.added == count
        info = inspect(self._client, [name]).get(name)
        return info is not None and info.first is not None and info.first <= end.after and info.deleted <= end.after

    def _begin_anew(self, name: str, after: EntryId) -> _ReadPosition:
        """Treat a journal as another incarnation after all: it had more unread entries than were ever added after its ranges."""
        self._incarnation[name] = next_incarnation(self.covered.pop(name), 0)
        self._empty.pop(name, None)
        self._positions.pop(name, None)
        return _ReadPosition(self._incarnation[name], after, None)

    def vanished(self, durable: Ranges) -> Iterator[JournalRange]:
        """For each journal whose last entries were removed before they were drained, an empty range that reports the loss.

        The range claims none of the removed entries, because a batch that is away may hold them. If entries are left, it ends at
        the last of these, which identifies the journal.
        """
        for name, info in self.infos.items():
            ranges = durable.get(name, [])
            if not ranges or ranges[-1].last >= info.last:
                continue
            end = ranges[-1]
            read = self._positions.get(name)
            added = read.added if end.added is None and read is not None and read.after == end.last else end.added
            missing = 0 if added is None else max(0, info.added - added)
            if info.length and not missing:
                continue  # it was reported before
            last, anchor = (end.last, end.anchor) if info.length else (info.last, "")
            after = end.last if info.added == end.added else last
            yield JournalRange(name, str(after), "", str(last), 0, missing, self._incarnation[name], anchor, info.added)

    def _missing_head(self, name: str) -> EntryRange | None:
        """The uncovered part removed from the beginning of a journal, which no range of this incarnation may claim."""
        info = self.infos[name]
        if info.first is None or not head_is_missing(self.covered.get(name, []), info):
            return None
        return EntryRange(self._incarnation[name], BEGINNING, info.first.preceding())

    def _find_uncovered(self, name: str) -> None:
        """Find the first part of a journal that is not covered."""
        info, covered = self.infos[name], self.covered.get(name, [])
        passed = joined([*covered, *self._empty[name]]) if name in self._empty else covered
        gap = first_gap(passed, info.last) if info.length else None
        if gap is None:
            self._uncovered.pop(name, None)
        else:
            self._uncovered[name] = ReadRange(name, *gap, self._expected(name, gap, info))

    def _position(self, name: str, after: EntryId) -> _ReadPosition:
        if (read := self._positions.get(name)) is not None and read.after == after:
            return read
        for before in reversed(self.covered.get(name, ())):
            if before.last <= after:
                return _ReadPosition(self._incarnation[name], after, before.added)
        return _ReadPosition(self._incarnation[name], after, None)

    def _expected(self, name: str, gap: tuple[EntryId, EntryId], info: JournalInfo) -> int:
        """About how many entries there are to read."""
        added = self._position(name, gap[0]).added
        if added is None or added >= info.added or gap[1] < info.last:
            return info.length
        return info.added - added


def _incarnations(
    client: Client, known: Ranges, noted: Ranges, infos: Mapping[str, JournalInfo], covered: Ranges
) -> Iterator[tuple[str, int]]:
    """The incarnations of journals without a covered range.

    A journal keeps its number in two cases: it continues the range noted in Redis (a batch that is away may have begun it), or the
    entry at the end of its ranges was deleted and others follow. It is read from its beginning all the same, and archived entries
    are recognised. Keeping the number lets missing entries fill their gap when they come.
    """
    clock = server_ms(client)
    ranges = {name: [*known.get(name, []), *noted.get(name, [])] for name in infos if name not in covered}
    ends = {name: newest(range_)[-1] for name, range_ in ranges.items() if range_}
    go_on = {*of_this_incarnation(client, ranges, {name: infos[name] for name in ranges})}
    go_on |= first_entries(
        client,
        [
            ReadRange(name, end.last, infos[name].last, 1)
            for name, end in ends.items()
            if end_was_deleted(end, infos[name])
        ],
    )
    for name, range_ in ranges.items():
        yield name, ends[name].incarnation if name in go_on else next_incarnation(range_, clock)


def _parts(
    dataset: Dataset,
    block: Block,
    began: Mapping[str, _ReadPosition],
    infos: Mapping[str, JournalInfo],
    earliest: datetime,
    keep: Keep,
) -> Iterator[tuple[tuple[JournalRange, ...], pa.Table]]:
    """The ranges and tables of a block's batches: one batch, or several if its rows are of too many days."""
    ends = dict(began)
    table = to_table(dataset, block, earliest, keep)
    cuts = cut_by_days(dataset, table)
    if deleted := [*_around_deleted(block, began, infos)]:
        cuts = list(pairwise(sorted({edge for cut in cuts for edge in cut} | set(deleted))))
    for start, stop in cuts:
        part = block if len(cuts) == 1 else block.slice(start, stop)
        ranges = tuple(_ranges(part, ends, infos))
        yield ranges, table if len(cuts) == 1 else to_table(dataset, part, earliest, keep)


def _around_deleted(
    block: Block, began: Mapping[str, _ReadPosition], infos: Mapping[str, JournalInfo]
) -> Iterator[int]:
    """Positions at which a block is cut because deleted entries may have been there: no range may claim both sides.

    Only the last deleted id is known, so each entry before it becomes a batch of its own, unless there are more than `MOST_ALONE`.
    """
    start = 0
    for name, count in zip(block.journals, block.counts, strict=True):
        deleted = infos[name].deleted
        if deleted > began[name].after:
            before = bisect_right(range(start, start + count), deleted, key=lambda at: EntryId.parse(block.id(at)))
            alone = range(1, before) if before <= MOST_ALONE else ()
            yield from (start + at for at in (*alone, before) if 0 < at < count)
        start += count


def _ranges(block: Block, ends: dict[str, _ReadPosition], infos: Mapping[str, JournalInfo]) -> Iterator[JournalRange]:
    """The range of each journal in a block; advances `ends`."""
    of_journals = zip(block.journals, block.counts, block.bounds, block.last_fields(), strict=True)
    for name, count, (first, last), fields in of_journals:
        end, info = ends[name], infos[name]
        anchor = entry_digest(last, fields)
        last_id = EntryId.parse(last)
        missing = 0
        if last_id == info.last and end.added is not None:
            missing = max(0, info.added - end.added - count)
        added = _added(end, last_id, count, info)
        after = _begins(end, EntryId.parse(first), info, missing)
        yield JournalRange(
            name, str(after), first.decode(), last.decode(), count, missing, end.incarnation, anchor, added
        )
        ends[name] = _advanced(end, last_id, count)


def _begins(end: _ReadPosition, first: EntryId, info: JournalInfo, missing: int) -> EntryId:
    """The id after which the range of a block begins: just before its first entry if entries may have been removed unread.

    Those may be in a batch that is away, or come back when the live tier is restored to an earlier state.
    """
    trimmed = info.first is not None and end.after < info.first < first
    return first.preceding() if missing or trimmed or info.deleted > end.after else end.after


def _added(end: _ReadPosition, last: EntryId, count: int, info: JournalInfo) -> int | None:
    """How many entries had ever been added to a journal by the time `last` was; None if unknown."""
    if last == info.last:
        return info.added
    return None if end.added is None or not end.exact else end.added + count


def _advanced(end: _ReadPosition, last: EntryId, count: int) -> _ReadPosition:
    """The position after `count` more entries, the last of them `last`."""
    return _ReadPosition(end.incarnation, last, None if end.added is None else end.added + count, end.exact)
