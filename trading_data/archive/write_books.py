"""What a load writes beside rows: ledger row, archived ranges, entry hashes, refresh requests, sources and their disagreements."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier, Literal

from trading_data.archive.acceptance import bounds_of
from trading_data.archive.ledger import COUNTS, ArchivedRange, Loaded
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import array_of, names_of, statement
from trading_data.archive.versions import entry_hashes
from trading_data.datasets.declaration import Dataset, Sources
from trading_data.intake.batch import Batch
from trading_data.intake.store import BatchFile
from trading_data.live.ranges import EntryRange, joined


@dataclass(frozen=True)
class LoadInput:
    """A batch to load: its file, how many entries of each of its ranges are new, the archived ranges, and the run."""

    file: BatchFile
    batch: Batch
    new: Sequence[int]
    ranges: Mapping[str, Sequence[ArchivedRange]]
    run_id: str


def write_books(cursor: Cursor, dataset: Dataset, load_input: LoadInput, loaded: Loaded) -> None:
    """Write the bookkeeping of a batch, with the counts in `loaded`."""
    batch = load_input.batch
    _request_refreshes(cursor, dataset, loaded)
    if batch.origin == "journal":
        _write_ranges(cursor, dataset, load_input, loaded.batch_id)
        _keep_hashes(cursor, dataset, batch, loaded.batch_id)
    loaded.journals = [{**vars(journal), "journal": ledger_name(journal.journal)} for journal in batch.journals]
    loaded.missing = sum(journal.missing for journal in batch.journals)
    first, last = bounds_of(batch)
    values = {
        **{name: getattr(loaded, name) for name in ("batch_id", "offered", *COUNTS, "replayed", "missing", "subjects")},
        "dataset": dataset.name,
        "content_hash": load_input.file.content_hash,
        "origin": batch.origin,
        "snapshot_run": batch.run_id,
        "load_run": load_input.run_id,
        "drained_at": batch.created,
        "accepted_first": first,
        "accepted_last": last,
        "journals": json.dumps(loaded.journals),
        "first_timestamp": loaded.first,
        "last_timestamp": loaded.last,
        "days": json.dumps({str(day): counts for day, counts in sorted(loaded.days.items())}),
    }
    cursor.execute(statement("write_ledger"), values)


def range_changes(
    known: Sequence[ArchivedRange], new: Sequence[ArchivedRange]
) -> tuple[list[ArchivedRange], list[EntryRange]]:
    """The ranges of one journal to write, and those that have become part of a larger one."""
    before = {(part.entries.incarnation, part.entries.after): part for part in known}
    every, written = [*known, *new], []
    for entries in joined([part.entries for part in every]):
        merged = ArchivedRange(entries, sum([part.count for part in every if _within(part.entries, entries)]))
        if merged != before.pop((entries.incarnation, entries.after), None):
            written.append(merged)
    return written, [part.entries for part in before.values()]


def _within(part: EntryRange, larger: EntryRange) -> bool:
    return part.incarnation == larger.incarnation and larger.after <= part.after and part.last <= larger.last


def _write_ranges(cursor: Cursor, dataset: Dataset, load_input: LoadInput, batch_id: int) -> None:
    written: list[tuple[str, ArchivedRange]] = []
    gone: list[tuple[str, EntryRange]] = []
    new: dict[str, list[ArchivedRange]] = {}
    for (journal, entries), count in zip(load_input.batch.ranges, load_input.new, strict=True):
        new.setdefault(ledger_name(journal), []).append(ArchivedRange(entries, count))
    for name, ranges in new.items():
        grown, swallowed = range_changes(load_input.ranges.get(name, []), ranges)
        written += [(name, part) for part in grown]
        gone += [(name, part) for part in swallowed]
    values: dict[str, Any] = {
        "dataset": dataset.name,
        "batch_id": batch_id,
        "journals": array_of(name for name, _ in written),
        "incarnations": array_of(part.entries.incarnation for _, part in written),
        "afters": array_of(part.entries.after for _, part in written),
        "lasts": array_of(part.entries.last for _, part in written),
        "anchors": array_of(part.entries.anchor for _, part in written),
        "addeds": array_of(part.entries.added for _, part in written),
        "entries": array_of(part.count for _, part in written),
        "gone_journals": array_of(name for name, _ in gone),
        "gone_incarnations": array_of(part.incarnation for _, part in gone),
        "gone_afters": array_of(part.after for _, part in gone),
    }
    if written or gone:
        cursor.execute(statement("write_ranges"), values)


def _keep_hashes(cursor: Cursor, dataset: Dataset, batch: Batch, batch_id: int) -> None:
    if not batch.table.num_rows:
        return
    ms = batch.table["_ms"].to_numpy()
    hashes = np.zeros(batch.table.num_rows, dtype="<u4")  # 0 for rejected entries: quarantine has them
    hashes[batch.good] = entry_hashes(dataset, batch.rows)
    values = {
        "dataset": dataset.name,
        "batch_id": batch_id,
        "first_ms": int(ms.min()),
        "last_ms": int(ms.max()),
        "hashes": psycopg2.Binary(hashes.tobytes()),
    }
    cursor.execute(statement("keep_entry_hashes"), values)


def _request_refreshes(cursor: Cursor, dataset: Dataset, loaded: Loaded) -> None:
    if not loaded.touched or not dataset.aggregates:
        return
    days = sorted(loaded.touched)
    values = {
        "dataset": dataset.name,
        "batch_id": loaded.batch_id,
        "aggregates": [aggregate.name for aggregate in dataset.aggregates],
        "days": days,
        "lows": [loaded.touched[day].low for day in days],
        "highs": [loaded.touched[day].high for day in days],
    }
    cursor.execute(statement("request_refreshes"), values)


class SourceBooks:
    """The known sources of a dataset, and the disagreements between them, in the transaction of a load."""

    def __init__(self, cursor: Cursor, dataset: Dataset, rows: pa.Table) -> None:
        """Note the sources of the batch's `rows` that are new."""
        self._cursor, self._dataset = cursor, dataset
        self._sources = dataset.sources
        self._several, self._before = False, 0
        if self._sources is None:
            return
        cursor.execute("select source from archive_source where dataset = %s", (dataset.name,))
        self._known = {source for (source,) in cursor.fetchall()}
        here = set(rows["source"].unique().to_pylist())
        for source in sorted(here - self._known):
            cursor.execute("insert into archive_source (dataset, source) values (%s, %s)", (dataset.name, source))
        self._several = len(self._known | here) > 1
        if self._several:
            cursor.execute("select coalesce(max(revision_id), 0) from archive_revision")
            self._before = (cursor.fetchone() or (0,))[0]

    def note_disagreement(self, bounds: dict[str, Any]) -> None:
        """Compare each version replaced in this load with the row that stands, if that is another source's."""
        if self._sources is None or not self._several:
            return
        values = {
            "dataset": self._dataset.name,
            "before": self._before,
            "tolerance": self._sources.tolerance,
            **bounds,
        }
        names = {**names_of(self._dataset), "difference": _difference(self._sources)}
        self._cursor.execute(statement("note_disagreement", **names), values)


def _difference(sources: Sources) -> Composable:
    """The largest difference of the compared columns, relative to the larger value."""
    difference = "abs({known} - {old}) / nullif(greatest(abs({known}), abs({old})), 0)"
    parts = []
    for name in sources.compared:
        old = SQL("(revision.old->>{})::double precision").format(Literal(name))
        parts.append(SQL(difference).format(known=Identifier("known", name), old=old))
    return SQL("coalesce(greatest({}), 0)").format(SQL(", ").join(parts))
