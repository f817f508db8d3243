"""Audits inside the archive: the ledger, by batch and by day, against rows, revisions, quarantine and coverage.

Each statement reads one snapshot, so entries that move meanwhile are not mistaken for faults.

Belongs here: checks that need the database alone, in windows of days. Does not: journals (`journals`), the intake and aggregates
(`run`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.database import Archive
from trading_data.archive.sql import names_of, statement
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted
from trading_data.times import DAY, day_start

_WINDOW_DAYS = 31
_MOST, _SHOWN = 100, 20
"""Faults that are queried, and those named in a single result."""
_EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


@dataclass(frozen=True)
class AuditResult:
    """The result of one check: whether it passed, a message, and the command to run if it did not.

    `what` names the kind of check: ledger, books, days, coverage, rows, chunk, batches, journals, ranges, gaps, went back, missing,
    intake, aggregates, keys.
    """

    dataset: str
    day: date | None
    ok: bool
    what: str
    message: str
    command: str = ""


@dataclass(frozen=True)
class LedgerTotals:
    """Totals of a dataset's ledger, revisions and quarantine; the last three cover batches drained from journals only."""

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
    """Whether ledger, rows, revisions and quarantine agree, as a single result; rows are checked on `days` only (default: all)."""
    of_days = check_days(archive, dataset, days)
    results = [*check_ledger(archive, dataset), *check_books(archive, dataset), *of_days]
    faults = [(result.day, result.message) for result in results if not result.ok]
    return balance(dataset, of_days[0].message, faults)


def balance(dataset: Dataset, rows: str, faults: Sequence[tuple[date | None, str]]) -> AuditResult:
    """The accounts as a single result: the first of the faults by day, or else `rows`, a text of `rows_on_days`."""
    message = "; ".join(text if day is None else f"{day}: {text}" for day, text in faults[:_SHOWN])
    command = "trading-data verify" if faults else ""
    return AuditResult(dataset.name, None, not faults, "accounts", message or f"{rows} accounted for", command)


def rows_on_days(rows: int, days: int) -> str:
    """`3 rows on 1 day`."""
    return f"{counted(rows, 'row')} on {counted(days, 'day')}"


def check_ledger(archive: Archive, dataset: Dataset, since: int = 0) -> list[AuditResult]:
    """For each batch from `since` on: offered = inserted + replaced + unchanged + quarantined + replayed, in total and by day."""
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
            f"{counts}, and {by_day} by its days",
            f"trading-data psql -c 'select * from archive_ledger where batch_id = {batch}'",
        )
        for batch, offered, taken, counts, by_day in faults
    ]


def read_totals(cursor: Cursor, dataset: Dataset) -> LedgerTotals:
    """The totals of a dataset at one moment."""
    cursor.execute(statement("ledger_totals"), {"dataset": dataset.name})
    return LedgerTotals(*map(int, cursor.fetchone() or ()))


def check_books(archive: Archive, dataset: Dataset) -> list[AuditResult]:
    """One revision for each replaced row, and as many quarantined entries as the ledger counts."""
    with archive.transaction(snapshot=True) as cursor:
        totals = read_totals(cursor, dataset)
    pairs = (
        ("archive_revision", totals.revisions, "replaced", totals.replaced),
        ("archive_quarantine", totals.rejects, "quarantined", totals.quarantined),
    )
    faults = [
        AuditResult(
            dataset.name,
            None,
            False,
            "books",
            f"{table} has {counted(rows, 'row')}, the ledger counts {booked:,} {name}",
            "trading-data backup --list",
        )
        for table, rows, name, booked in pairs
        if rows != booked
    ]
    message = f"{counted(totals.batches, 'batch', 'batches')}, {totals.replaced:,} replaced, {totals.quarantined:,} quarantined"
    return faults or [AuditResult(dataset.name, None, True, "books", message)]


def check_days(archive: Archive, dataset: Dataset, days: Iterable[date] | None = None) -> list[AuditResult]:
    """Per day: as many rows as the ledger counts as inserted, each from a batch in the ledger."""
    wanted = known_days(archive, dataset) if days is None else sorted(set(days))
    faults: list[AuditResult] = []
    rows = 0
    for window in _windows(wanted, max(_WINDOW_DAYS, dataset.chunk.days)):
        bounds = _bounds(dataset, window)
        with archive.transaction(snapshot=True) as cursor:
            cursor.execute(
                statement("chunk_days"), {"table": dataset.table, "low": bounds["start"], "high": bounds["end"]}
            )
            chunks = {day for (day,) in cursor.fetchall()}
            cursor.execute(statement("day_accounts", **names_of(dataset)), bounds)
            for day, held, inserted, unknown, batch in cursor.fetchall():
                if day in window:
                    rows += held
                    faults += _day_faults(dataset, day, day in chunks, (held, int(inserted), unknown, batch))
    return faults or [AuditResult(dataset.name, None, True, "days", rows_on_days(rows, len(wanted)))]


def check_coverage(archive: Archive, dataset: Dataset, days: Iterable[date] | None = None) -> list[AuditResult]:
    """Per day: as many rows as the coverage counts."""
    if not dataset.has_coverage:
        return []
    wanted = known_days(archive, dataset) if days is None else sorted(set(days))
    faults: list[AuditResult] = []
    rows = 0
    for window in _windows(wanted):
        with archive.transaction(snapshot=True) as cursor:
            cursor.execute(statement("day_coverage", **names_of(dataset)), _bounds(dataset, window))
            counts = [row for row in cursor.fetchall() if row[0] in window]
        rows += sum(held for _, held, _ in counts)
        for day, held, covered in counts:
            if held != covered:
                message = f"{dataset.table} holds {counted(held, 'row')}, its coverage counts {int(covered):,}"
                faults.append(AuditResult(dataset.name, day, False, "coverage", message, "trading-data verify"))
    return faults or [AuditResult(dataset.name, None, True, "coverage", f"{rows_on_days(rows, len(wanted))} covered")]


def known_days(archive: Archive, dataset: Dataset) -> list[date]:
    """The days that have rows according to the ledger, or have a chunk."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("ledger_days"), {"dataset": dataset.name})
        booked = {day for (day,) in cursor.fetchall()}
    return sorted(booked | set(chunk_days(archive, dataset)))


def chunk_days(archive: Archive, dataset: Dataset) -> list[date]:
    """The days with a chunk."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("chunk_days"), {"table": dataset.table, "low": _EVER[0], "high": _EVER[1]})
        return sorted(day for (day,) in cursor.fetchall())


def days_with_chunks(archive: Archive) -> set[date]:
    """The days for which any dataset has a chunk."""
    return {day for dataset in DATASETS.values() for day in chunk_days(archive, dataset)}


def run_command(asset: str, day: date) -> str:
    """The command that materializes an asset for one day."""
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


def _bounds(dataset: Dataset, window: list[date]) -> dict[str, Any]:
    """A window of days as the statements' parameters."""
    first, last = window[0], window[-1]
    start, end = day_start(first), day_start(last) + DAY
    return {"dataset": dataset.name, "start": start, "end": end, "first": first, "last": last}


def _day_faults(
    dataset: Dataset, day: date, chunk: bool, counts: tuple[int, int, int, int | None]
) -> Iterator[AuditResult]:
    held, inserted, unknown, batch = counts
    if inserted and not chunk:
        message = f"the ledger counts {counted(inserted, 'inserted row')}, but {dataset.table} no longer has a chunk of that day"
        yield AuditResult(dataset.name, day, False, "chunk", message, "trading-data backup --list")
    elif held != inserted:
        message = f"{dataset.table} holds {counted(held, 'row')}, the ledger counts {inserted:,} inserted"
        yield AuditResult(dataset.name, day, False, "rows", message, "trading-data backup --list")
    if unknown:
        message = (
            f"{counted(unknown, 'row belongs', 'rows belong')} to batches that are not in the ledger, such as {batch}"
        )
        command = f"trading-data psql -c 'select * from {dataset.table} where batch_id = {batch}'"
        yield AuditResult(dataset.name, day, False, "batches", message, command)
