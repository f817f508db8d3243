"""The one door into the archive: a batch becomes rows, quarantined entries, a ledger row and archived ranges in one transaction.

Replaying a batch changes nothing: its hash is in the ledger, or its entries lie in archived ranges and are recognised. Belongs
here: the order of the steps of one batch, and of batches. Does not: what becomes of each entry (`plan`), what is known of them
(`known`), the statements on rows (`stage`), rejected entries (`rejects`), and what a batch is (`intake.batch`).
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.acceptance import Acceptance
from trading_data.archive.closed import KIND, TOO_LATE, in_closed_days
from trading_data.archive.coverage import count_again, note
from trading_data.archive.database import Archive
from trading_data.archive.known import ArchivedEntries, ask
from trading_data.archive.ledger import Loaded, from_ledger, lock_loads, ranges_of
from trading_data.archive.plan import Count, Plan, plan, positions, said_again
from trading_data.archive.quarantine.rejects import Reject, from_batch, from_row, keep, ledger_name
from trading_data.archive.quarantine.retry import Retries
from trading_data.archive.said_again import keep_said_again
from trading_data.archive.stage import Stage
from trading_data.archive.versions import DAY_US, Mask, microseconds, net_by_day, per_day
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
    """Load the batches of a dataset that wait in the intake, in their order; each is deleted once it is committed.

    Raises:
        ArchiveTierError: the archive is away; what is not committed stays in the intake.
        IntakeError: a batch is damaged; nothing after it is loaded.
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


@without_gc()
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
        cursor.execute("select nextval('archive_batch')")
        loaded = Loaded(offered=batch.table.num_rows, batch_id=(cursor.fetchone() or (0,))[0])
        names = [ledger_name(one.journal) for one in batch.journals] if batch.origin == "journal" else []
        archived = ranges_of(cursor, dataset, names) if names else {}
        ranges = {name: [one.entries for one in found] for name, found in archived.items()}
        counts = Counter[tuple[str, int]]()
        for name, found in archived.items():
            for one in found:
                counts[name, one.entries.incarnation] += one.count
        entries = ArchivedEntries(cursor, dataset, batch, ranges, counts)
        again = _load_entries(cursor, dataset, batch, entries, loaded)
        reached("load.rows")
        write_books(cursor, dataset, LoadInput(file, batch, entries.new(again), archived, run_id), loaded)
        reached("load.ledger")
        return loaded


def _load_entries(cursor: Cursor, dataset: Dataset, batch: Batch, entries: ArchivedEntries, loaded: Loaded) -> Mask:
    """Plan and write the entries of a batch, and count each of them; returns which of them its archived ranges have already."""
    rows, rejected, rejects = batch.rows, batch.rejects, list[Reject]()
    retries = Retries(cursor, dataset, batch) if batch.origin == "quarantine" else None
    if retries is not None:
        rows, rejected, rejects = retries.admit(rows, rejected)
    of_batch = from_batch(batch, rejected)
    rejects += of_batch
    again = entries.inside(batch.table)
    if rows.num_rows:
        acceptance = Acceptance(dataset, batch, rows, entries.of, retries.accepted() if retries else None)
        dropped = in_closed_days(cursor, dataset, rows)
        stage = Stage(cursor, dataset, rows, loaded.batch_id)
        known = ask(stage, entries, acceptance, dropped)
        decided = plan(dataset, rows, known, (KIND, TOO_LATE))
        apply(stage, decided, loaded)
        repeated = said_again(known, decided)
        keep_said_again(cursor, dataset, rows.take(pa.array(repeated)), acceptance.last_us(repeated), loaded.batch_id)
        rejects += [
            from_row(batch, dataset, rows, at, kind, _reason(dataset, kind, reason))
            for at, (kind, reason) in decided.reject.items()
        ]
        if again.any():
            again[batch.good] &= decided.counts == Count.REPLAYED
    new = keep(cursor, dataset, loaded.batch_id, rejects)
    for one in new:
        loaded.count("quarantined", one.day)
    if again.any() and of_batch:
        written = {id(one) for one in new}
        again[~batch.good] &= [id(one) not in written for one in of_batch]
    if retries is not None:
        retries.settle(rejects, loaded.batch_id)
    loaded.replayed = loaded.offered - loaded.accepted
    return again


def apply(stage: Stage, decided: Plan, loaded: Loaded) -> None:
    """Write the rows and revisions of a plan, and what follows from them: coverage, sources, counts by day."""
    cursor, dataset, rows = stage.cursor, stage.dataset, stage.rows
    insert, update = np.array(decided.insert, dtype=np.int64), positions(decided.update)
    taken = np.flatnonzero((decided.counts != Count.REPLAYED) & (decided.counts != Count.QUARANTINED))
    said = rows.select([*dataset.key, *(["source"] if dataset.sources else [])])
    said = said if len(taken) == rows.num_rows else said.take(pa.array(taken))
    sources = SourceBooks(cursor, dataset, said)
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
    days = microseconds(dataset, rows) // DAY_US
    for count in (Count.INSERTED, Count.REPLACED, Count.UNCHANGED):
        of_day, numbers = np.unique(days[decided.counts == count], return_counts=True)
        for day, number in zip(of_day.tolist(), numbers.tolist(), strict=True):
            loaded.count(count.name.lower(), day, number)
    changed = np.concatenate([insert, update])
    loaded.touch({day: (low, high) for day, (_, low, high) in per_day(dataset, rows, changed).items()})
    left, arrived = np.array([*decided.moves.values()], dtype=np.int64) // DAY_US, days[positions(decided.moves)]
    loaded.touch({day: (day * DAY_US, (day + 1) * DAY_US - 1) for day in np.union1d(left, arrived).tolist()})
    came, inserted = np.concatenate([days[insert], arrived]), days[decided.counts == Count.INSERTED]
    for day, number in net_by_day(came, np.concatenate([left, inserted])).items():
        loaded.move(day, number)
    if len(taken):
        times = pa.compute.min_max(said[dataset.key[1]]).as_py()
        loaded.first, loaded.last = times["min"], times["max"]
        loaded.subjects = len(said[dataset.subject].unique())
    if loaded.replaced:
        sources.note_disagreement(stage.bounds)
        if dataset.about not in dataset.key or decided.moves:
            count_again(cursor, dataset, list(loaded.touched))


def _reason(dataset: Dataset, kind: str, said: str) -> str:
    """Why a row goes to quarantine, in words; `said` is what the plan says of it."""
    if kind == KIND:
        return said.format(table=dataset.table)
    return (
        f"the archive holds other values for this key, from batch {said}, and which were accepted later is not known: "
        "discard this entry, or import the row from a file if it is to replace them"
    )
