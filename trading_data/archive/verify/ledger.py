"""Whether the archive's own books balance: the ledger by batch and by day against rows, revisions and quarantine.

Every statement sees one moment, so nothing that moves meanwhile is taken for a fault.

Belongs here: what can be told from the database alone, in windows of days. Does not: journals (`journal_accounts`), the
intake and aggregates (`verify`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from trading_data.archive.database import Archive
from trading_data.archive.sql import names_of, statement
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted
from trading_data.times import DAY, day_start

_WINDOW_DAYS = 31
_MOST = 100
_EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


@dataclass(frozen=True)
class AuditResult:
    """One thing that was looked at: whether it is as it has to be, what was found, and the command that helps if not.

    `what` names the kind: ledger, books, days, coverage, rows, chunk, batches, journals, ranges, gaps, went back, missing, intake,
    aggregates, keys.
    """

    dataset: str
    day: date | None
    ok: bool
    what: str
    said: str
    command: str = ""


@dataclass(frozen=True)
class LedgerTotals:
    """What each book of a dataset says in all; the last three are of batches drained from journals."""

    batches: int
    inserted: int
    replaced: int
    quarantined: int
    revisions: int
    rejects: int
    offered: int
    replayed: int
    missing: int


def accounts_balance(archive: Archive, dataset: Dataset, days: Iterable[date] | None = None) -> AuditResult:
    """Whether ledger, rows, revisions and quarantine agree, rows on `days` only (default: all); one finding for all of it."""
    return _one(
        dataset,
        [*check_ledger(archive, dataset), *check_books(archive, dataset), *check_days(archive, dataset, days)],
    )


def balance_after_load(archive: Archive, dataset: Dataset, days: Iterable[date], batches: Iterable[int]) -> AuditResult:
    """The same of what a run has just loaded: these batches and these days, at a cost that does not grow with history."""
    since = min(batches, default=None)
    ledger = [] if since is None else check_ledger(archive, dataset, since)
    return _one(dataset, [*ledger, *check_coverage(archive, dataset, days)])


def _one(dataset: Dataset, found: list[AuditResult]) -> AuditResult:
    faults = [one for one in found if not one.ok]
    if not faults:
        return AuditResult(dataset.name, None, True, "accounts", "; ".join(one.said for one in found))
    said = "; ".join(fault.said if fault.day is None else f"{fault.day}: {fault.said}" for fault in faults[:_MOST])
    return AuditResult(dataset.name, None, False, "accounts", said, "trading-data verify")


def check_ledger(archive: Archive, dataset: Dataset, since: int = 0) -> list[AuditResult]:
    """Each batch from `since` on: offered = inserted + replaced + unchanged + quarantined + replayed, its days the same."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("ledger_faults"), {"dataset": dataset.name, "since": since, "most": _MOST})
        faults = cursor.fetchall()
    return [
        AuditResult(
            dataset.name,
            None,
            False,
            "ledger",
            f"batch {batch}: {offered} offered, {taken} accounted for; inserted, replaced, unchanged, quarantined are "
            f"{counts}, its days give {by_day}",
            f"trading-data psql -c 'select * from archive_ledger where batch_id = {batch}'",
        )
        for batch, offered, taken, counts, by_day in faults
    ]


def read_books(cursor: object, dataset: Dataset) -> LedgerTotals:
    """The books of a dataset, of one moment."""
    cursor.execute(statement("books"), {"dataset": dataset.name})  # type: ignore[attr-defined]
    return LedgerTotals(*map(int, cursor.fetchone() or ()))  # type: ignore[attr-defined]


def check_books(archive: Archive, dataset: Dataset) -> list[AuditResult]:
    """A revision for each replaced row, a quarantined entry for each that the ledger counts."""
    with archive.transaction(snapshot=True) as cursor:
        books = read_books(cursor, dataset)
    pairs = (
        ("archive_revision", books.revisions, "replaced", books.replaced),
        ("archive_quarantine", books.rejects, "quarantined", books.quarantined),
    )
    faults = [
        AuditResult(
            dataset.name,
            None,
            False,
            "books",
            f"{table} has {counted(there, 'row')}, the ledger counts {booked:,} {name}",
            "trading-data backup --list",
        )
        for table, there, name, booked in pairs
        if there != booked
    ]
    said = (
        f"{counted(books.batches, 'batch', 'batches')}, {books.replaced:,} replaced, {books.quarantined:,} quarantined"
    )
    return faults or [AuditResult(dataset.name, None, True, "books", said)]


def check_days(archive: Archive, dataset: Dataset, days: Iterable[date] | None = None) -> list[AuditResult]:
    """Day by day: as many rows as the ledger says were inserted, and each from a batch that the ledger knows."""
    wanted = known_days(archive, dataset) if days is None else sorted(set(days))
    faults: list[AuditResult] = []
    rows = 0
    for window in _windows(wanted, max(_WINDOW_DAYS, dataset.chunk.days)):
        chosen = set(window)
        with archive.transaction(snapshot=True) as cursor:
            start, end = day_start(window[0]), day_start(window[-1]) + DAY
            cursor.execute(statement("chunk_days"), {"table": dataset.table, "low": start, "high": end})
            chunks = {day for (day,) in cursor.fetchall()}
            bounds = {"dataset": dataset.name, "start": start, "end": end, "first": window[0], "last": window[-1]}
            cursor.execute(statement("day_accounts", **names_of(dataset)), bounds)
            for day, held, inserted, unknown, batch in cursor.fetchall():
                if day in chosen:
                    rows += held
                    faults += _day_faults(dataset, day, day in chunks, (held, int(inserted), unknown, batch))
    return faults or [
        AuditResult(dataset.name, None, True, "days", f"{counted(rows, 'row')} on {counted(len(wanted), 'day')}")
    ]


def check_coverage(archive: Archive, dataset: Dataset, days: Iterable[date] | None = None) -> list[AuditResult]:
    """Day by day: as many rows as the coverage says."""
    if not dataset.has_coverage:
        return []
    wanted = known_days(archive, dataset) if days is None else sorted(set(days))
    faults: list[AuditResult] = []
    rows = 0
    for window in _windows(wanted):
        bounds = {
            "dataset": dataset.name,
            "start": day_start(window[0]),
            "end": day_start(window[-1]) + DAY,
            "first": window[0],
            "last": window[-1],
        }
        with archive.transaction(snapshot=True) as cursor:
            cursor.execute(statement("day_coverage", **names_of(dataset)), bounds)
            found = [row for row in cursor.fetchall() if row[0] in set(window)]
        rows += sum(held for _, held, _ in found)
        for day, held, covered in found:
            if held != covered:
                said = f"{dataset.table} holds {counted(held, 'row')}, its coverage says {int(covered):,}"
                faults.append(AuditResult(dataset.name, day, False, "coverage", said, "trading-data verify"))
    return faults or [
        AuditResult(
            dataset.name, None, True, "coverage", f"{counted(rows, 'row')} on {counted(len(wanted), 'day')} covered"
        )
    ]


def known_days(archive: Archive, dataset: Dataset) -> list[date]:
    """The days of which the ledger or a chunk says that there are rows."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("ledger_days"), {"dataset": dataset.name})
        found = {day for (day,) in cursor.fetchall()}
    return sorted(found | set(chunk_days(archive, dataset)))


def chunk_days(archive: Archive, dataset: Dataset) -> list[date]:
    """The days that have a chunk."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("chunk_days"), {"table": dataset.table, "low": _EVER[0], "high": _EVER[1]})
        return sorted(day for (day,) in cursor.fetchall())


def days_with_chunks(archive: Archive) -> set[date]:
    """The days of which any dataset has a chunk."""
    return {day for dataset in DATASETS.values() for day in chunk_days(archive, dataset)}


def materialize(asset: str, day: date) -> str:
    """The command that runs one asset for one day."""
    return f"trading-data run {asset} --day {day}"


def _windows(days: list[date], most: int = _WINDOW_DAYS) -> Iterator[list[date]]:
    window: list[date] = []
    for day in days:
        if window and (day - window[0]).days >= most:
            yield window
            window = []
        window.append(day)
    if window:
        yield window


def _day_faults(
    dataset: Dataset, day: date, chunk: bool, counts: tuple[int, int, int, int | None]
) -> Iterator[AuditResult]:
    held, inserted, unknown, batch = counts
    if inserted and not chunk:
        said = (
            f"the ledger says that {counted(inserted, 'row was', 'rows were')} inserted, and {dataset.table} has no "
            f"chunk of that day any more"
        )
        yield AuditResult(dataset.name, day, False, "chunk", said, "trading-data backup --list")
    elif held != inserted:
        said = f"{dataset.table} holds {counted(held, 'row')}, the ledger says that {counted(inserted, 'was', 'were')} inserted"
        yield AuditResult(dataset.name, day, False, "rows", said, "trading-data backup --list")
    if unknown:
        said = f"{counted(unknown, 'row is', 'rows are')} of batches that the ledger does not know, such as {batch}"
        help_ = f"trading-data psql -c 'select * from {dataset.table} where batch_id = {batch}'"
        yield AuditResult(dataset.name, day, False, "batches", said, help_)
