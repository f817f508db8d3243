"""The one way into the archive: in one transaction a batch becomes rows, quarantined entries, a ledger row and archived ranges.

Loading a batch again changes nothing: its hash is in the ledger, or its entries are recognised in archived ranges. The steps:
`known` queries what the archive has of the entries, `plan` decides about each, `stage` writes rows, `quarantine.rejects` rejected
entries, and `write_books` the bookkeeping.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import Acceptance
from trading_data.archive.confirmations import keep_confirmations
from trading_data.archive.coverage import note, recount
from trading_data.archive.database import Archive
from trading_data.archive.days import in_dropped_days
from trading_data.archive.known import ArchivedEntries, archived_entries, known_rows
from trading_data.archive.ledger import Loaded, from_ledger, lock_loads, ranges_of
from trading_data.archive.plan import Count, Plan, confirming, plan, positions
from trading_data.archive.quarantine.rejects import Reject, from_batch, from_row, keep, ledger_name, settle_read_again
from trading_data.archive.quarantine.retry import Retries
from trading_data.archive.stage import Stage
from trading_data.archive.versions import DAY_US, Mask, changed_by_day, microseconds, net_by_day
from trading_data.archive.write_books import LoadInput, SourceBooks, write_books
from trading_data.collector import without_gc
from trading_data.datasets.declaration import Dataset
from trading_data.intake.batch import Batch
from trading_data.intake.store import BatchFile, Intake
from trading_data.kill_points import reached


def load_pending(
    archive: Archive,
    intake: Intake,
    dataset: Dataset,
    *,
    run_id: str = "",
    after_each: Callable[[Loaded], None] | None = None,
) -> Iterator[Loaded]:
    """Load a dataset's pending batches in their order, and delete each one once it is committed.

    Raises:
        ArchiveTierError: the archive is unreachable or refused; batches that are not committed stay in the intake.
        IntakeError: a batch is damaged; neither it nor the batches after it are loaded.
    """
    for file, batch in _read_ahead(intake, intake.pending(dataset.name)):
        if batch is None:
            continue  # another process has loaded it
        loaded = load(archive, dataset, file, batch, run_id=run_id)
        reached("load.committed")
        intake.delete(file)
        reached("load.deleted")
        if after_each is not None:
            after_each(loaded)
        yield loaded


def _read_ahead(intake: Intake, files: Sequence[BatchFile]) -> Iterator[tuple[BatchFile, Batch | None]]:
    """Yield each file's batch in turn, while a thread reads the next one."""
    with ThreadPoolExecutor(1, "intake") as reader:
        waiting = deque(files)
        reading = reader.submit(intake.read, waiting[0]) if len(waiting) > 1 else None
        while waiting:
            file = waiting.popleft()
            batch = reading.result() if reading is not None else intake.read(file)
            reading = reader.submit(intake.read, waiting[0]) if waiting else None
            yield file, batch


@without_gc()
def load(archive: Archive, dataset: Dataset, file: BatchFile, batch: Batch, *, run_id: str = "") -> Loaded:
    """Load one batch in one transaction. Loading it again, from any process, changes nothing."""
    with archive.transaction() as cursor:
        lock_loads(cursor, dataset)
        reached("load.begun")
        cursor.execute("select * from archive_ledger where content_hash = %s", (file.content_hash,))
        if cursor.rowcount and cursor.description:
            names = (column.name for column in cursor.description)
            return from_ledger(dict(zip(names, cursor.fetchone() or (), strict=True)))
        cursor.execute("select nextval('archive_batch')")
        loaded = Loaded(offered=batch.table.num_rows, batch_id=(cursor.fetchone() or (0,))[0])
        journals = [ledger_name(part.journal) for part in batch.journals] if batch.origin == "journal" else []
        archived = ranges_of(cursor, dataset, journals) if journals else {}
        entries = archived_entries(cursor, dataset, batch, archived)
        repeated = _load_entries(cursor, dataset, batch, entries, loaded)
        reached("load.rows")
        write_books(cursor, dataset, LoadInput(file, batch, entries.new(repeated), archived, run_id), loaded)
        reached("load.ledger")
        return loaded


def _load_entries(cursor: Cursor, dataset: Dataset, batch: Batch, entries: ArchivedEntries, loaded: Loaded) -> Mask:
    """Plan, write and count the entries of a batch; return which of them are archived already."""
    rows, rejected, rejects = batch.rows, batch.rejects, list[Reject]()
    retries = Retries(cursor, dataset, batch) if batch.origin == "quarantine" else None
    if retries is not None:
        rows, rejected, rejects = retries.admit(rows, rejected)
    of_batch = from_batch(batch, rejected)
    rejects += of_batch
    repeated = entries.inside(batch.table)
    if rows.num_rows:
        acceptance = Acceptance(dataset, batch, rows, entries.of, retries.accepted() if retries else None)
        dropped = in_dropped_days(cursor, dataset, rows)
        stage = Stage(cursor, dataset, rows, loaded.batch_id)
        known = known_rows(stage, entries, acceptance, dropped)
        decided = plan(dataset, rows, known)
        apply(stage, decided, loaded)
        equal = confirming(known, decided)
        keep_confirmations(cursor, dataset, rows.take(pa.array(equal)), acceptance.last_us(equal), loaded.batch_id)
        rejects += [from_row(batch, dataset, rows, at, *reason) for at, reason in decided.reject.items()]
        if repeated.any():
            repeated[batch.good] &= decided.counts == Count.REPLAYED
    new = keep(cursor, dataset, loaded.batch_id, rejects)
    for reject in new:
        loaded.count("quarantined", reject.day)
    written = {id(reject) for reject in new}
    if repeated.any() and of_batch:
        repeated[~batch.good] &= [id(reject) not in written for reject in of_batch]
    if retries is not None:
        retries.settle(rejects, loaded.batch_id)
    kept = [reject for reject in rejects if id(reject) not in written]
    settle_read_again(cursor, dataset, batch, loaded.batch_id, kept)
    loaded.replayed = loaded.offered - loaded.accepted
    return repeated


def apply(stage: Stage, decided: Plan, loaded: Loaded) -> None:
    """Write the rows and revisions of a plan, with their coverage and sources, and count them by day."""
    cursor, dataset, rows = stage.cursor, stage.dataset, stage.rows
    insert, update = np.array(decided.insert, dtype=np.int64), positions(decided.update)
    taken = np.flatnonzero((decided.counts != Count.REPLAYED) & (decided.counts != Count.QUARANTINED))
    brought = rows.select([*dataset.key, *(["source"] if dataset.sources else [])])
    brought = brought if len(taken) == rows.num_rows else brought.take(pa.array(taken))
    sources = SourceBooks(cursor, dataset, brought)
    if len(update):
        stage.add(update)
        stayed = [at for at in update.tolist() if at not in decided.moves]
        if stayed:
            stage.replace(stayed)
        if decided.moves:
            stage.move(decided.moves, decided.places)
    if decided.revise:
        stage.keep({at: batch or stage.batch_id for at, batch in decided.revise.items()})
    if len(insert):
        stage.insert(insert, decided.places)
        note(cursor, dataset, rows, insert)
    _count_days(dataset, rows, decided, loaded)
    if len(taken):
        times = pa.compute.min_max(brought[dataset.key[1]]).as_py()
        loaded.first, loaded.last = times["min"], times["max"]
        loaded.subjects = len(brought[dataset.subject].unique())
    if loaded.replaced:
        sources.note_disagreement(stage.bounds)
        if dataset.about not in dataset.key or decided.moves:
            recount(cursor, dataset, list(loaded.touched))


def _count_days(dataset: Dataset, rows: pa.Table, decided: Plan, loaded: Loaded) -> None:
    """Count the rows of a plan by day, and note the changed ranges and the rows that moved from one day to another."""
    days = microseconds(dataset, rows) // DAY_US
    for count in (Count.INSERTED, Count.REPLACED, Count.UNCHANGED):
        of_day, numbers = np.unique(days[decided.counts == count], return_counts=True)
        for day, number in zip(of_day.tolist(), numbers.tolist(), strict=True):
            loaded.count(count.name.lower(), day, number)
    insert, update = np.array(decided.insert, dtype=np.int64), positions(decided.update)
    changed = np.concatenate([insert, update])
    loaded.touch(changed_by_day(dataset, rows, changed))
    left, arrived = np.array([*decided.moves.values()], dtype=np.int64) // DAY_US, days[positions(decided.moves)]
    loaded.touch({day: (day * DAY_US, (day + 1) * DAY_US - 1) for day in np.union1d(left, arrived).tolist()})
    came, inserted = np.concatenate([days[insert], arrived]), days[decided.counts == Count.INSERTED]
    for day, number in net_by_day(came, np.concatenate([left, inserted])).items():
        loaded.move(day, number)
