"""Retention: which chunks are dropped, which stay and why; and the drop, which never changes an aggregate.

A chunk goes only if all of this is proven: it is older than its dataset declares, in whole days; every aggregate was
refreshed over it and equals its rows; the ledger agrees with its rows; nothing for it waits in the intake or in quarantine;
and, where the dataset asks for it, a backup covers it and its cold file is written. The drop is one transaction per chunk, in
which everything that can have changed is checked again. Later rows of that day go to quarantine (`archive.days`).

Users see the verdict on each chunk, with its reason, in `trading-data retention --dry-run` and on the page of a run of
`retention_job` (output `verdicts` and log).

Belongs here: judging, and the order of the steps. Does not: single facts (`preconditions`), cold files (`cold_storage`), backups
(`operations.backup.preconditions`).
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Identifier

from trading_data.archive.aggregates.compare import fingerprint_of_rows, fingerprints_of_aggregates
from trading_data.archive.chunks import Chunk, chunks, drop
from trading_data.archive.database import Archive
from trading_data.archive.ledger import lock_loads
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Dataset
from trading_data.errors import ArchiveTierError, Refused
from trading_data.intake.store import Intake
from trading_data.kill_points import reached
from trading_data.operations.maintenance import preconditions
from trading_data.operations.maintenance.cold_storage import ColdFile, ColdStore
from trading_data.operations.maintenance.lock_retry import LOCK, PAUSES, is_locked, is_refused, reason_of
from trading_data.operations.maintenance.preconditions import Facts, PendingWork, waiting
from trading_data.printable import counted, noun
from trading_data.retry import retry

Covered = Callable[[Dataset, Chunk], bool | None]
"""Whether a backup covers a chunk; None if no backup is known."""


@dataclass(frozen=True)
class Dropped:
    """What was dropped: rows, bytes on disk, the cold file if any, remaining buckets of each aggregate, seconds."""

    rows: int
    bytes: int
    cold: str | None
    buckets: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class DropVerdict:
    """Whether a chunk is dropped, and why. `dropped` is set once it was."""

    dataset: Dataset
    chunk: Chunk
    goes: bool
    reason: str
    dropped: Dropped | None = None


def judge(dataset: Dataset, chunk: Chunk, today: date, facts: Facts) -> DropVerdict:
    """The verdict on a chunk, a pure function of its arguments; it has the first reason to keep it (`_reasons_to_stay`)."""
    stays = next(_reasons_to_stay(dataset, chunk, today, facts), None)
    if stays:
        return DropVerdict(dataset, chunk, False, stays)
    age = (today - chunk.day).days
    backup = ", a backup covers it" if dataset.drop_needs_backup else ""
    export = "; its rows are written to a cold file first" if dataset.export_before_drop else ""
    names = ", ".join(aggregate.name for aggregate in dataset.aggregates)
    reason = f"{counted(age, 'day')} old, {names} equal its rows, nothing waits for it{backup}{export}"
    return DropVerdict(dataset, chunk, True, reason)


def is_due(dataset: Dataset, chunk: Chunk, today: date) -> bool:
    """Whether the whole of a chunk is older than the dataset keeps rows, counted in whole UTC days."""
    return dataset.drop_after is not None and chunk.end.date() + dataset.drop_after <= today


def plan(
    archive: Archive, intake: Intake, dataset: Dataset, now: datetime, *, covered: Covered | None = None
) -> Iterator[DropVerdict]:
    """The verdict on every chunk, oldest first; changes nothing.

    Raises:
        ArchiveTierError: the archive does not answer.
    """
    today = now.date()
    all_chunks = chunks(archive, dataset)
    if not any(is_due(dataset, chunk, today) for chunk in all_chunks):
        yield from (judge(dataset, chunk, today, Facts()) for chunk in all_chunks)
        return
    pending_work = waiting(archive, intake, dataset)
    for chunk in all_chunks:
        facts = _cheap_facts(dataset, chunk, pending_work, covered)
        verdict = judge(dataset, chunk, today, facts)
        if verdict.goes:
            verdict = judge(dataset, chunk, today, _proven(archive, dataset, chunk, facts))
        yield verdict


def retain(
    archive: Archive,
    intake: Intake,
    dataset: Dataset,
    now: datetime,
    *,
    cold: ColdStore,
    covered: Covered | None = None,
    run_id: str = "",
    lock: str = LOCK,
    pauses: Sequence[float] = PAUSES,
) -> Iterator[DropVerdict]:
    """As `plan`, and drop what goes, one chunk a transaction.

    Args:
        archive: the archive tier.
        intake: what waits there keeps its chunk.
        dataset: whose chunks.
        now: aware; ages are counted from its day.
        cold: where cold files go, if the dataset asks for them.
        covered: whether a backup covers a chunk; None if there are no backups.
        run_id: kept with each drop.
        lock: longest wait for a lock on the chunk in one attempt.
        pauses: seconds between attempts; after the last one the chunk is left to the next run.

    Raises:
        Refused: a cold file cannot be written, or an aggregate changed by a drop; the message says what to do.
        ArchiveTierError: the archive does not answer.
    """
    for verdict in plan(archive, intake, dataset, now, covered=covered):
        if verdict.goes:
            reached("retention.decided")
            verdict = _export_and_drop(archive, verdict, cold, run_id, lock, pauses)
        yield verdict


class _Stays(Exception):
    """Raised inside the transaction of the drop, which it rolls back: the chunk is kept after all."""


def _export_and_drop(
    archive: Archive, verdict: DropVerdict, cold: ColdStore, run_id: str, lock: str, pauses: Sequence[float]
) -> DropVerdict:
    dataset, chunk = verdict.dataset, verdict.chunk
    began = time.monotonic()
    file = None
    if dataset.export_before_drop:
        file = cold.export(archive, dataset, chunk)
        reached("retention.exported")
    try:
        rows, kept = retry(lambda: _drop(archive, dataset, chunk, file, run_id, lock), is_locked, pauses)
    except _Stays as reason:
        return replace(verdict, goes=False, reason=str(reason))
    except ArchiveTierError as error:
        if not is_refused(error):
            raise
        locked = f"another session holds locks on it ({lock} waited, {len(pauses) + 1} times); the next run tries again"
        return replace(
            verdict, goes=False, reason=locked if is_locked(error) else f"it could not be dropped: {reason_of(error)}"
        )
    reached("retention.done")
    _check_aggregates_kept(archive, dataset, chunk, kept)
    buckets = {name: count for name, (count, _) in kept.items()}
    gone = Dropped(rows, chunk.bytes_on_disk, file.path if file else None, buckets, time.monotonic() - began)
    return replace(verdict, dropped=gone)


def _drop(
    archive: Archive, dataset: Dataset, chunk: Chunk, file: ColdFile | None, run_id: str, lock: str
) -> tuple[int, dict[str, tuple[int, str]]]:
    """One transaction: no load is running, nothing has changed, only the chunk is dropped, and the ledger records it."""
    with archive.transaction() as cursor:
        lock_loads(cursor, dataset)
        cursor.execute("set local lock_timeout = %s", (lock,))
        cursor.execute("select to_regclass(%s) is null", (chunk.name,))
        if (cursor.fetchone() or (True,))[0]:
            raise _Stays("another run has dropped it meanwhile")
        cursor.execute(SQL("lock table {} in share mode").format(Identifier(*chunk.name.split(".", 1))))
        rows, fingerprint = fingerprint_of_rows(cursor, dataset, chunk.start, chunk.end)
        _check_unchanged(cursor, dataset, chunk, file, fingerprint)
        kept = fingerprints_of_aggregates(cursor, dataset, chunk.start, chunk.end)
        drop(cursor, dataset, chunk)
        left, _ = fingerprint_of_rows(cursor, dataset, chunk.start, chunk.end)
        after = fingerprints_of_aggregates(cursor, dataset, chunk.start, chunk.end)
        if left or after != kept:
            raise Refused(
                f"{chunk.name} of {dataset.table} was not dropped: with it {left:,} of {counted(rows, 'row')} would have "
                f"stayed and "
                f"the aggregates would have become {after}, which are {kept}"
            )
        values: dict[str, Any] = {"dataset": dataset.name, "day": chunk.day, "rows": rows, "run_id": run_id}
        values |= {"bytes": chunk.bytes_on_disk, "aggregates": json.dumps(kept), "cold": file.path if file else None}
        cursor.execute(statement("note_dropped"), values)
        cursor.execute(statement("forget_coverage"), values)
        reached("retention.dropped")
    return rows, kept


def _check_unchanged(cursor: Cursor, dataset: Dataset, chunk: Chunk, file: ColdFile | None, fingerprint: str) -> None:
    refreshes = preconditions.refreshes_waiting(cursor, dataset)[chunk.day]
    if refreshes or preconditions.differing(cursor, dataset, chunk) or preconditions.unbooked(cursor, dataset, chunk):
        raise _Stays("some of its rows changed since they were checked; the next run checks again")
    if file is not None and fingerprint != file.fingerprint:
        raise _Stays(f"some of its rows changed since they were written to {file.path}; the next run writes them again")


def _check_aggregates_kept(archive: Archive, dataset: Dataset, chunk: Chunk, kept: dict[str, tuple[int, str]]) -> None:
    with archive.transaction(snapshot=True) as cursor:
        now = fingerprints_of_aggregates(cursor, dataset, chunk.start, chunk.end)
    changed = [name for name in kept if kept[name] != now[name]]
    if changed:
        raise Refused(
            f"{', '.join(changed)} changed for {chunk.day} after its rows had been dropped: that range was refreshed outside "
            "of this program. Nothing more was dropped; restore the aggregates from a backup, and see `trading-data status`"
        )


def _cheap_facts(dataset: Dataset, chunk: Chunk, pending_work: PendingWork, covered: Covered | None) -> Facts:
    return Facts(
        dropped_before=chunk.day in pending_work.dropped_days,
        refreshes=pending_work.refreshes[chunk.day],
        pending=pending_work.pending[chunk.day],
        unreadable=pending_work.unreadable,
        quarantined=pending_work.quarantined[chunk.day],
        covered=covered(dataset, chunk) if covered is not None and dataset.drop_needs_backup else None,
    )


def _proven(archive: Archive, dataset: Dataset, chunk: Chunk, facts: Facts) -> Facts:
    """The facts together with those that need a scan of all rows."""
    with archive.transaction(snapshot=True) as cursor:
        facts = replace(facts, unbooked=preconditions.unbooked(cursor, dataset, chunk))
        return replace(facts, differing=len(preconditions.differing(cursor, dataset, chunk)))


def _age(ended: int, kept: int) -> str:
    """Why a chunk is too young, by the days since its end (negative before it) and the days for which rows are kept."""
    if ended < 0:
        return f"it has not ended; rows are kept for {counted(kept, 'day')} after its end"
    return f"it ended {counted(ended, 'day')} ago; rows are kept for {counted(kept, 'day')}, {kept - ended:,} more"


def _reasons_to_stay(dataset: Dataset, chunk: Chunk, today: date, facts: Facts) -> Iterator[str]:
    if dataset.drop_after is None:
        yield "kept for ever"
    elif not is_due(dataset, chunk, today):
        yield _age((today - chunk.end.date()).days, dataset.drop_after.days)
    if not chunk.is_a_day:
        yield f"it is not one UTC day, but {chunk.start:%Y-%m-%d %H:%M} to {chunk.end:%Y-%m-%d %H:%M}"
    if facts.dropped_before:
        yield "retention has dropped this day before, and rows were written for it outside of the intake: look at them"
    if facts.unreadable:
        yield f"it is not known whether rows for it wait in the intake: {facts.unreadable}"
    if facts.pending:
        yield f"{counted(facts.pending, 'row')} for it {noun(facts.pending, 'waits', 'wait')} in the intake"
    if facts.refreshes:
        yield f"{counted(facts.refreshes, 'range')} of it {noun(facts.refreshes, 'waits', 'wait')} for aggregates to be refreshed"
    if facts.quarantined:
        yield (
            f"{counted(facts.quarantined, 'entry', 'entries')} for it {noun(facts.quarantined, 'waits', 'wait')} in "
            f"quarantine and may come back: `trading-data quarantine list`"
        )
    if dataset.drop_needs_backup and not facts.covered:
        yield "the newest backup does not cover it" if facts.covered is False else "no backup is known that covers it"
    if facts.unbooked:
        yield f"it differs from the ledger by {counted(facts.unbooked, 'row')}: `trading-data verify`"
    if facts.differing:
        yield (
            f"{counted(facts.differing, 'bucket')} of its aggregates {noun(facts.differing, 'differs', 'differ')} from "
            f"its rows: `trading-data verify --deep`"
        )
