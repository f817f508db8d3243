"""The one door into the archive: a batch becomes rows, quarantined entries, a ledger row and watermarks in one transaction.

Replaying a batch changes nothing: its hash is in the ledger, or its entries lie at or before the watermarks. Belongs here:
the order of the steps of one batch, and of batches. Does not: what entries of one key become (`versions`), the statements
on rows (`write`), rejected entries (`rejects`), and what a batch is (`intake.batch`).
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.closed import in_closed_days, too_late
from trading_data.archive.coverage import count_again, note
from trading_data.archive.database import Archive
from trading_data.archive.loaded import COUNTS, Loaded, from_ledger
from trading_data.archive.locks import lock_loads
from trading_data.archive.rejects import Reject, behind_watermark, from_batch, keep, key_taken, ledger_name
from trading_data.archive.retried import Retries
from trading_data.archive.sources import SourceBooks, outranked
from trading_data.archive.sql import statement
from trading_data.archive.versions import DAY_US, Mask, identity_conflicts, microseconds, per_day, versions
from trading_data.archive.write import RowWriter
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.intake.store import BatchFile, Intake
from trading_data.kill_points import reached
from trading_data.live.journal import BEGINNING, EntryId


def load_pending(
    archive: Archive,
    intake: Intake,
    dataset: Dataset,
    *,
    run_id: str = "",
    after_each: Callable[[Loaded], None] | None = None,
) -> Iterator[Loaded]:
    """Load the batches of a dataset that wait in the intake, in their order; each is deleted once it is committed.

    Raises:
        ArchiveTierError: the archive is away; what is not committed stays in the intake.
        IntakeError: a batch is damaged; nothing after it is loaded, for order matters.
    """
    for file, batch in _read_ahead(intake, intake.pending(dataset.name)):
        if batch is None:
            continue  # another process loaded it meanwhile
        loaded = load(archive, dataset, file, batch, run_id=run_id)
        reached("load.committed")
        intake.delete(file)
        reached("load.deleted")
        if after_each is not None:
            after_each(loaded)
        yield loaded


def _read_ahead(intake: Intake, files: Sequence[BatchFile]) -> Iterator[tuple[BatchFile, Batch | None]]:
    """Each file's batch in turn; a thread reads the next one meanwhile."""
    with ThreadPoolExecutor(1, "intake") as beside:
        coming = deque(files)
        reading = beside.submit(intake.read, coming[0]) if len(coming) > 1 else None
        while coming:
            file = coming.popleft()
            batch = reading.result() if reading is not None else intake.read(file)
            reading = beside.submit(intake.read, coming[0]) if coming else None
            yield file, batch


def load(archive: Archive, dataset: Dataset, file: BatchFile, batch: Batch, *, run_id: str = "") -> Loaded:
    """Load one batch in one transaction; doing it again, in any process, changes nothing."""
    with archive.transaction() as cursor:
        lock_loads(cursor, dataset)
        reached("load.begun")
        cursor.execute("select * from archive_ledger where content_hash = %s", (file.content_hash,))
        if cursor.rowcount and cursor.description:
            return from_ledger(
                dict(zip((one.name for one in cursor.description), cursor.fetchone() or (), strict=True))
            )
        return _Load(cursor, dataset, file, batch, run_id).run()


class _Load:
    """One batch on its way in. A class only so that the steps share what they all need."""

    def __init__(self, cursor: Cursor, dataset: Dataset, file: BatchFile, batch: Batch, run_id: str) -> None:
        self.cursor, self.dataset, self.file, self.batch, self.run_id = cursor, dataset, file, batch, run_id
        self.out = Loaded(offered=batch.table.num_rows)
        self.rejects: list[Reject] = []
        self.watermarks = self._watermarks()
        cursor.execute("select nextval('archive_batch')")
        self.out.batch_id = (cursor.fetchone() or (0,))[0]

    def run(self) -> Loaded:
        rows, rejected = self.batch.rows, self.batch.rejects
        retries = Retries(self.cursor, self.dataset, self.batch) if self.batch.origin == "quarantine" else None
        if retries is not None:
            rows, rejected, self.rejects = retries.admit(rows, rejected)
        behind = self._behind(rows)
        self.rejects += from_batch(
            self.batch, rejected.filter(pa.array(~self._behind(rejected) | self._uncertain(rejected)))
        )
        doubtful = behind & self._uncertain(rows)
        self.out.replayed = self.out.offered - int((~behind | doubtful).sum()) - len(self.rejects)
        closed = in_closed_days(self.cursor, self.dataset, rows)
        self.rejects += too_late(self.batch, self.dataset, rows, np.flatnonzero(closed & (~behind | doubtful)))
        fresh, doubtful = rows.filter(pa.array(~behind & ~closed)), doubtful & ~closed
        if doubtful.any():
            self._add_doubtful(rows.filter(pa.array(doubtful)))
        if fresh.num_rows:
            self._add_rows(fresh)
        new = keep(self.cursor, self.dataset, self.out.batch_id, self.rejects)
        for one in new:
            self.out.count("quarantined", one.day)
        self.out.replayed += len(self.rejects) - len(new)
        if retries is not None:
            retries.settle(self.rejects, self.out.batch_id)
        reached("load.rows")
        self._ask_refresh()
        self._move_watermarks()
        self._write_ledger()
        reached("load.ledger")
        return self.out

    def _add_rows(self, rows: pa.Table) -> None:
        books = SourceBooks(self.cursor, self.dataset, rows)
        writer = RowWriter(self.cursor, self.dataset, rows, self.out.batch_id)
        bounds = writer.bounds
        conflicts = identity_conflicts(self.dataset, rows, writer.owners())
        if conflicts:
            self.rejects += key_taken(self.batch, self.dataset, rows, conflicts)
            rows = rows.filter(pa.array(~np.isin(np.arange(rows.num_rows), [at for at, _ in conflicts])))
            if not rows.num_rows:
                return
            writer = RowWriter(self.cursor, self.dataset, rows, self.out.batch_id)
        self._describe(rows)
        lost = outranked(self.dataset, rows, books.holders(rows, bounds))
        if lost.any():
            losers, rows = rows.filter(pa.array(lost)), rows.filter(pa.array(~lost))
            if rows.num_rows:
                self._write(RowWriter(self.cursor, self.dataset, rows, self.out.batch_id), rows)
            self._keep_outranked(losers)
        else:
            self._write(writer, rows)
        if self.out.replaced:
            books.note_disagreement(bounds)

    def _write(self, writer: RowWriter, rows: pa.Table) -> None:
        """Rows of which none is outranked."""
        found = versions(self.dataset, rows)
        days = microseconds(self.dataset, rows) // DAY_US
        self._count("unchanged", days[found.repeats])
        self._count("replaced", days[found.replacing])
        written = writer.write(found)
        self._count("inserted", written.inserted)
        self._count("replaced", written.replaced)
        self._count("unchanged", written.unchanged)
        self.out.touch(written.touched)
        note(self.cursor, self.dataset, rows, written.covered)
        if self.dataset.about not in self.dataset.key and self.out.replaced:
            count_again(self.cursor, self.dataset, list(self.out.touched))

    def _keep_outranked(self, losers: pa.Table) -> None:
        kept = RowWriter(self.cursor, self.dataset, losers, self.out.batch_id).keep_outranked()
        everything = np.arange(losers.num_rows, dtype=np.int64)
        self._count("replaced", kept)
        self._count(
            "unchanged",
            {day: count - kept.get(day, 0) for day, (count, _, _) in per_day(self.dataset, losers, everything).items()},
        )

    def _add_doubtful(self, rows: pa.Table) -> None:
        """Entries of a journal that went back: they may add what is missing, never replace what the archive has."""
        found = versions(self.dataset, rows)
        self.out.replayed += rows.num_rows - len(found.last)
        newest = rows.take(pa.array(np.sort(found.last)))
        writer = RowWriter(self.cursor, self.dataset, newest, self.out.batch_id)
        added = writer.add_only()
        self._count("inserted", added.inserted)
        self.out.touch(added.touched)
        note(self.cursor, self.dataset, newest, added.covered)
        self.rejects += behind_watermark(self.batch, self.dataset, newest, added.differing)
        self.out.replayed += newest.num_rows - sum(added.inserted.values()) - len(added.differing)

    def _watermarks(self) -> dict[str, tuple[EntryId, EntryId]]:
        if self.batch.origin != "journal":
            return {}
        names = [ledger_name(found.journal) for found in self.batch.journals]
        self.cursor.execute(statement("watermarks"), {"dataset": self.dataset.name, "journals": names})
        return {name: (EntryId.parse(at), EntryId.parse(highest)) for name, at, highest in self.cursor.fetchall()}

    def _behind(self, rows: pa.Table) -> Mask:
        """Which entries lie at or before the highest archived entry of their journal."""
        if not self.watermarks:
            return np.zeros(rows.num_rows, dtype=bool)
        marks = [self._mark(found.journal)[1] for found in self.batch.journals]
        of_row = rows["_journal"].to_numpy()
        ms, seq = rows["_ms"].to_numpy(), rows["_seq"].to_numpy()
        mark_ms = np.array([mark.ms for mark in marks], dtype=np.uint64)[of_row]
        mark_seq = np.array([mark.seq for mark in marks], dtype=np.uint64)[of_row]
        return (ms < mark_ms) | ((ms == mark_ms) & (seq <= mark_seq))  # type: ignore[no-any-return]

    def _uncertain(self, rows: pa.Table) -> Mask:
        uncertain = np.array([not found.certain for found in self.batch.journals], dtype=bool)
        if not rows.num_rows:
            return np.zeros(0, dtype=bool)
        return uncertain[rows["_journal"].to_numpy()]  # type: ignore[no-any-return]

    def _mark(self, journal: str) -> tuple[EntryId, EntryId]:
        return self.watermarks.get(ledger_name(journal), (BEGINNING, BEGINNING))

    def _describe(self, rows: pa.Table) -> None:
        times = pa.compute.min_max(rows[self.dataset.key[1]]).as_py()
        self.out.first, self.out.last = times["min"], times["max"]
        self.out.subjects = len(rows[self.dataset.subject].unique())

    def _count(self, what: str, days: Any) -> None:
        if isinstance(days, dict):
            pairs = list(days.items())
        else:
            unique, numbers = np.unique(days, return_counts=True)
            pairs = list(zip(unique.tolist(), numbers.tolist(), strict=True))
        for day, number in pairs:
            if number:
                self.out.count(what, int(day), int(number))

    def _ask_refresh(self) -> None:
        if not self.out.touched or not self.dataset.aggregates:
            return
        days = sorted(self.out.touched)
        values = {
            "dataset": self.dataset.name,
            "batch_id": self.out.batch_id,
            "aggregates": [aggregate.name for aggregate in self.dataset.aggregates],
            "days": days,
            "lows": [self.out.touched[day].low for day in days],
            "highs": [self.out.touched[day].high for day in days],
        }
        self.cursor.execute(statement("ask_refresh"), values)

    def _move_watermarks(self) -> None:
        if self.batch.origin != "journal":
            return
        moved = {}
        for found in self.batch.journals:
            at, highest = self._mark(found.journal)
            if found.last_id > at or found.rewound:
                moved[ledger_name(found.journal)] = (str(found.last_id), str(max(highest, found.last_id)), found.count)
        values = {
            "dataset": self.dataset.name,
            "batch_id": self.out.batch_id,
            "journals": list(moved),
            "entry_ids": [one[0] for one in moved.values()],
            "highest_ids": [one[1] for one in moved.values()],
            "entries": [one[2] for one in moved.values()],
        }
        self.cursor.execute(statement("move_watermarks"), values)

    def _write_ledger(self) -> None:
        out = self.out
        out.journals = [{**vars(found), "journal": ledger_name(found.journal)} for found in self.batch.journals]
        out.missing = sum(found.missing for found in self.batch.journals)
        values = {
            **{
                name: getattr(out, name) for name in ("batch_id", "offered", *COUNTS, "replayed", "missing", "subjects")
            },
            "dataset": self.dataset.name,
            "content_hash": self.file.content_hash,
            "origin": self.batch.origin,
            "snapshot_run": self.batch.run_id,
            "load_run": self.run_id,
            "drained_at": self.batch.created,
            "journals": json.dumps(out.journals),
            "first_timestamp": out.first,
            "last_timestamp": out.last,
            "days": json.dumps({str(day): counts for day, counts in sorted(out.days.items())}),
        }
        self.cursor.execute(statement("write_ledger"), values)
