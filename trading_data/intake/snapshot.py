"""Draining the journals into the intake: read what is new, write it durably, and only then say how far it was drained.

Belongs here: the positions, what to read, and the order of these steps. Does not: reading (`live.journal`), the meaning
of entries (`intake.entries`), producers without a journal (`intake.sample`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch, JournalRange, cut_by_days
from trading_data.intake.drain import drain
from trading_data.intake.entries import Block, Entries, to_table
from trading_data.intake.lease import lease
from trading_data.intake.store import BatchFile, Intake
from trading_data.kill_points import reached
from trading_data.live import keys, spared
from trading_data.live.connection import Client, live_errors
from trading_data.live.journal import (
    BEGINNING,
    EntryId,
    JournalInfo,
    Stretch,
    find_journals,
    inspect,
    text,
)
from trading_data.live.pages import ROWS_PER_PAGE
from trading_data.times import now

BATCH_ENTRIES = 200_000
"""Entries a batch at most: about 12 MB of Parquet, and the bound of the archiver's memory whatever the backlog."""


@dataclass(frozen=True)
class Position:
    """How far a journal was drained: the last entry's id and how many had been added to the journal by then.

    `added` is None where the count is not known. Positions found elsewhere at or before `void` do not hold: the journal
    was found to have gone back behind them.
    """

    last: EntryId
    added: int | None = None
    void: EntryId = BEGINNING

    def dump(self) -> str:
        """As it is kept in Redis."""
        return json.dumps({"last": str(self.last), "added": self.added, "void": str(self.void)})

    @classmethod
    def load(cls, value: bytes) -> "Position":
        """From what is kept in Redis."""
        found = json.loads(value)
        return cls(EntryId.parse(found["last"]), found["added"], EntryId.parse(found["void"]))


@dataclass(frozen=True)
class Drained:
    """What a snapshot wrote: a file, its ranges, and how many of its entries were good and were rejected."""

    file: BatchFile
    journals: tuple[JournalRange, ...]
    rows: int
    rejected: int
    first: datetime | None
    last: datetime | None


def snapshot(
    client: Client,
    intake: Intake,
    dataset: Dataset,
    *,
    earliest: datetime,
    archived: Mapping[str, EntryId] | None,
    run_id: str = "",
    batch_entries: int = BATCH_ENTRIES,
    rows_per_pipeline: int = ROWS_PER_PAGE,
) -> Iterator[Drained]:
    """Drain every journal of a dataset into the intake, yielding each batch once it is durable and accounted for.

    A batch is made and written by a thread of its own while the next one is read: one at a time, in order, so that what is
    noted is durable, and what comes after a batch that cannot be written is not noted either.

    Args:
        client: from `connect_for_archiver`.
        intake: where batches go.
        dataset: what to drain.
        earliest: start of the first day partition; older rows are rejected.
        archived: the archive's watermarks, or None while the archive cannot be asked.
        run_id: who drains, for the ledger.
        batch_entries: entries a batch at most.
        rows_per_pipeline: entries read at once; more are faster and hold up other clients longer.

    Raises:
        LiveTierError: the server is away, or another process drains this dataset.
        IntakeError: the intake cannot be written; what was not written stays in the journals.
    """
    with lease(client, dataset) as still_ours:
        infos = inspect(client, find_journals(client, dataset))
        positions = find_positions(client, intake, dataset, infos, archived)
        read = dict(positions)

        def left() -> list[Stretch]:
            """What was not read yet."""
            found = ((name, read[name], info) for name, info in infos.items())
            return [_stretch(name, at, info) for name, at, info in found if at.last < info.last]

        stretches = left()

        def write(ranges: tuple[JournalRange, ...], table: pa.Table) -> Drained:
            """Durable first, noted second: what is noted and not durable would be lost."""
            still_ours()
            batch = Batch(dataset.name, "journal", now(), run_id, ranges, table)
            file = intake.put(batch)
            moved = {one.journal: _moved(positions[one.journal], one, infos[one.journal]) for one in ranges}
            positions.update(moved)
            save_positions(client, dataset, moved)
            return describe(dataset, file, batch)

        def store(whole: Block) -> list[Drained]:
            return [
                write(tuple(_ranges(block, positions, infos)), table) for block, table in _cut(dataset, whole, earliest)
            ]

        with ThreadPoolExecutor(1, "intake") as beside:
            under_way: list[Future[list[Drained]]] = []
            for whole in drain(client, dataset, left, batch_entries, rows_per_pipeline, beside):
                read.update(
                    {
                        one.journal: _moved(read[one.journal], one, infos[one.journal])
                        for one in _ranges(whole, read, infos)
                    }
                )
                while under_way:
                    yield from under_way.pop().result()
                under_way.append(beside.submit(store, whole))
            while under_way:
                yield from under_way.pop().result()
        if vanished := tuple(_vanished(stretches, positions, infos)):
            yield write(vanished, to_table(dataset, Entries(), earliest))


def find_positions(
    client: Client,
    intake: Intake,
    dataset: Dataset,
    infos: Mapping[str, JournalInfo],
    archived: Mapping[str, EntryId] | None,
) -> dict[str, Position]:
    """How far each journal was drained, by all who know: Redis itself, the batches that wait, and the archive.

    Redis may have lost what it noted, or a drain may have died after its file was written and before it was noted. A
    journal that ends before its position has gone back (flushed, or its server lost its newest entries): it is drained
    from its beginning, and the load takes care that what it brings again changes nothing.
    """
    noted = noted_positions(client, dataset)
    elsewhere = dict(archived or {})
    for file in intake.pending(dataset.name):
        head = intake.head(file)
        for found in head.journals if head and head.origin == "journal" else ():
            elsewhere[found.journal] = max(elsewhere.get(found.journal, BEGINNING), found.last_id)
    positions = {}
    for name, info in infos.items():
        position = noted.get(name, Position(BEGINNING))
        other = elsewhere.get(name, BEGINNING)
        if other > position.last and other > position.void:
            position = Position(other, None, position.void)
        if position.last > info.last:
            position = Position(BEGINNING, None, max(position.last, position.void))
        positions[name] = position
    return positions


def noted_positions(client: Client, dataset: Dataset) -> dict[str, Position]:
    """How far each journal was drained, as Redis itself knows."""
    with live_errors(client):
        kept = cast(dict[bytes, bytes], client.hgetall(keys.drained(dataset.name)))
    return {text(name): Position.load(value) for name, value in kept.items()}


def save_positions(client: Client, dataset: Dataset, positions: Mapping[str, Position]) -> None:
    """Note how far journals were drained; to be called only when their entries are durable elsewhere."""
    spared.set_fields(client, keys.drained(dataset.name), {name: one.dump() for name, one in positions.items()})
    reached("snapshot.noted")


def describe(dataset: Dataset, file: BatchFile, batch: Batch) -> Drained:
    """The figures of a batch that was just written."""
    times = batch.table[dataset.key[1]].filter(pc.is_null(batch.table["_kind"]))
    ends = pc.min_max(times).as_py()
    return Drained(file, batch.journals, len(times), batch.table.num_rows - len(times), ends["min"], ends["max"])


def _stretch(name: str, position: Position, info: JournalInfo) -> Stretch:
    expected = info.length if position.added is None else max(1, info.added - position.added)
    return Stretch(name, position.last, info.last, expected)


def _cut(dataset: Dataset, block: Block, earliest: datetime) -> Iterator[tuple[Block, pa.Table]]:
    table = to_table(dataset, block, earliest)
    cuts = cut_by_days(dataset, table)
    if len(cuts) == 1:
        yield block, table
        return
    for start, stop in cuts:
        part = block.slice(start, stop)
        yield part, to_table(dataset, part, earliest)


def _ranges(
    block: Block, positions: Mapping[str, Position], infos: Mapping[str, JournalInfo]
) -> Iterator[JournalRange]:
    start = 0
    for name, count in zip(block.journals, block.counts, strict=True):
        first, last = block.id(start).decode(), block.id(start + count - 1).decode()
        start += count
        position, info = positions[name], infos[name]
        missing = 0
        if position.added is not None and EntryId.parse(last) == info.last:
            missing = max(0, info.added - position.added - count)
        rewound = position.void > BEGINNING and EntryId.parse(first) <= position.void
        yield JournalRange(name, str(position.last), first, last, count, missing, rewound)


def _vanished(
    stretches: Sequence[Stretch], positions: Mapping[str, Position], infos: Mapping[str, JournalInfo]
) -> Iterator[JournalRange]:
    """The ends of journals that somebody else removed before they were drained: nothing to read, but to be told."""
    for stretch in stretches:
        position, info = positions[stretch.journal], infos[stretch.journal]
        if position.last < info.last:
            missing = 0 if position.added is None else max(0, info.added - position.added)
            yield JournalRange(stretch.journal, str(position.last), "", str(info.last), 0, missing)


def _moved(position: Position, found: JournalRange, info: JournalInfo) -> Position:
    if found.last_id == info.last:
        added: int | None = info.added
    else:
        added = None if position.added is None else position.added + found.count
    return Position(found.last_id, added, position.void)
