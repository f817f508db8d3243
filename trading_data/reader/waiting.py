"""What is not in the archive yet: batches in the intake, in their order, and after them what the journals still hold.

Belongs here: reading both, and leaving out what the archive has committed meanwhile. Does not: the archive itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from trading_data.archive.rejects import ledger_name
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch, JournalRange, schema
from trading_data.intake.entries import Entries, to_table
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import BEGINNING, EntryId, Stretch, find_journals, inspect, read

ROWS_PER_PIPELINE = 1000


@dataclass(frozen=True)
class Waiting:
    """Batches in the order in which they will be loaded; the last may be what is still in the journals."""

    batches: list[Batch] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def tables(
        self, dataset: Dataset, archived: Mapping[str, EntryId], loaded: set[str], start: datetime, end: datetime
    ) -> list[pa.Table]:
        """The good rows in [start, end) that the archive does not have, given its watermarks and ledger of one moment."""
        tables = []
        drained: dict[str, EntryId] = {}
        for batch, digest in zip(self.batches, self.hashes, strict=True):
            if digest in loaded:
                continue
            rows = batch.rows
            if batch.origin == "journal" and rows.num_rows:
                marks = [_mark(found, archived, drained) for found in batch.journals]
                of_row = rows["_journal"].to_numpy()
                ms, seq = rows["_ms"].to_numpy(), rows["_seq"].to_numpy()
                mark_ms = np.array([mark.ms for mark in marks], dtype=np.uint64)[of_row]
                mark_seq = np.array([mark.seq for mark in marks], dtype=np.uint64)[of_row]
                rows = rows.filter(pa.array((ms > mark_ms) | ((ms == mark_ms) & (seq > mark_seq))))
            for found in batch.journals if batch.origin == "journal" else ():
                drained[found.journal] = max(drained.get(found.journal, BEGINNING), found.last_id)
            times = rows[dataset.key[1]]
            inside = pa.compute.and_(
                pa.compute.greater_equal(times, pa.scalar(start, times.type)),
                pa.compute.less(times, pa.scalar(end, times.type)),
            )
            tables.append(rows.filter(inside).select(list(dataset.names)))
        return [table for table in tables if table.num_rows]


def read_waiting(
    client: Client,
    intake: Intake,
    dataset: Dataset,
    subjects: Sequence[str] | None,
    archived: Mapping[str, EntryId],
    earliest: datetime,
) -> Waiting:
    """First the journals after the `archived` positions, then the intake: whatever moves meanwhile is seen twice.

    Args:
        client: from `connect_for_archiver`.
        intake: where batches wait.
        dataset: what to read.
        subjects: restrict to these where a journal is one subject's; None for all.
        archived: watermarks read before this call; entries at or before them are in the archive for certain.
        earliest: start of the first day partition.
    """
    live = _journals(client, dataset, subjects, archived, earliest)
    waiting = Waiting()
    for file in intake.pending(dataset.name):
        batch = intake.read(file)
        if batch is not None:
            waiting.batches.append(batch)
            waiting.hashes.append(file.content_hash)
    if live is not None:
        waiting.batches.append(live)
        waiting.hashes.append("")
    return waiting


def _journals(
    client: Client,
    dataset: Dataset,
    subjects: Sequence[str] | None,
    archived: Mapping[str, EntryId],
    earliest: datetime,
) -> Batch | None:
    if dataset.carried and subjects is not None:
        names = [dataset.journal_of(subject) for subject in subjects]
    else:
        names = find_journals(client, dataset)
    stretches = []
    for name, info in inspect(client, names).items():
        after = archived.get(ledger_name(name), BEGINNING)
        if info.last < after:
            after = BEGINNING
        if info.length and after < info.last:
            stretches.append(Stretch(name, after, info.last, info.length))
    entries = Entries()
    for reading in read(client, stretches, ROWS_PER_PIPELINE):
        entries.add(reading)
    if not len(entries):
        return None
    ranges = tuple(JournalRange(name, "0-0", "0-1", "0-1", 0) for name in entries.journals)
    table = to_table(dataset, entries, earliest)
    return Batch(dataset.name, "journal", datetime.now(earliest.tzinfo), "", ranges, table.cast(schema(dataset)))


def _mark(found: JournalRange, archived: Mapping[str, EntryId], drained: Mapping[str, EntryId]) -> EntryId:
    """Up to where entries of a batch's journal are accounted for by the archive or by an earlier batch."""
    if found.rewound:
        return BEGINNING
    return max(archived.get(ledger_name(found.journal), BEGINNING), drained.get(found.journal, BEGINNING))
