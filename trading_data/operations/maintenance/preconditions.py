"""The facts about a chunk that decide whether it may be dropped.

Belongs here: reading them. Does not: judging (`retention`).
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.aggregates.compare import differences_in_snapshot
from trading_data.archive.chunks import Chunk
from trading_data.archive.database import Archive
from trading_data.archive.days import dropped_days
from trading_data.archive.sql import names_of, statement
from trading_data.archive.versions import DAY_US, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.errors import IntakeError
from trading_data.intake.store import Intake

_PAGE = 5_000
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Facts:
    """The facts of one chunk. With the defaults, and a backup where one is needed, nothing keeps it; `retention` judges them.

    Attributes:
        dropped_before: whether retention has dropped its day before.
        refreshes: ranges of it for which an aggregate is yet to be refreshed.
        pending: rows of it in batches that wait in the intake.
        unreadable: why the intake could not be read; empty if it was.
        quarantined: entries with a time in it that wait in quarantine.
        covered: whether a backup covers it; None if no backup is known.
        unbooked: by how many rows the archive differs from the ledger.
        differing: buckets of its aggregates that differ from its rows.
    """

    dropped_before: bool = False
    refreshes: int = 0
    pending: int = 0
    unreadable: str = ""
    quarantined: int = 0
    covered: bool | None = None
    unbooked: int = 0
    differing: int = 0


@dataclass(frozen=True)
class PendingWork:
    """By day of a dataset: rows in the intake, entries in quarantine and refreshes that wait; and which days were dropped."""

    pending: Counter[date]
    unreadable: str
    quarantined: Counter[date]
    refreshes: Counter[date]
    dropped_days: set[date]


def waiting(archive: Archive, intake: Intake, dataset: Dataset) -> PendingWork:
    """Read all pending work. The intake is first: a batch that is loaded meanwhile is then seen by its refreshes."""
    pending, unreadable = _pending(intake, dataset)
    quarantined = Counter(day for text in _payloads(archive, dataset) if (day := _day_of(dataset, text)) is not None)
    with archive.transaction(snapshot=True) as cursor:
        refreshes = refreshes_waiting(cursor, dataset)
        return PendingWork(pending, unreadable, quarantined, refreshes, dropped_days(cursor, dataset))


def refreshes_waiting(cursor: Cursor, dataset: Dataset) -> Counter[date]:
    """By day, the number of ranges that wait for a refresh of an aggregate."""
    cursor.execute(statement("refreshes_waiting"), {"dataset": dataset.name})
    return Counter(dict(cursor.fetchall()))


def unbooked(cursor: Cursor, dataset: Dataset, chunk: Chunk) -> int:
    """By how many rows of the day the archive differs from the ledger, rows of unknown batches included."""
    bounds = {"dataset": dataset.name, "start": chunk.start, "end": chunk.end, "first": chunk.day, "last": chunk.day}
    cursor.execute(statement("day_accounts", **names_of(dataset)), bounds)
    return sum(abs(held - int(inserted)) + unknown for _, held, inserted, unknown, _ in cursor.fetchall())


def differing(cursor: Cursor, dataset: Dataset, chunk: Chunk) -> list[str]:
    """The buckets of all aggregates that differ from the chunk's rows, a line each."""
    return [
        line
        for aggregate in dataset.aggregates
        for line in differences_in_snapshot(cursor, dataset, aggregate, chunk.start, chunk.end)
    ]


def _pending(intake: Intake, dataset: Dataset) -> tuple[Counter[date], str]:
    """Rows by day of the waiting batches, and the reason if they could not be read."""
    rows_by_day: Counter[date] = Counter()
    try:
        for file in intake.pending(dataset.name):
            batch = intake.read(file)
            if batch is not None:
                rows_by_day += _days(dataset, batch.rows)
    except IntakeError as error:
        return rows_by_day, str(error)
    return rows_by_day, ""


def _days(dataset: Dataset, rows: pa.Table) -> Counter[date]:
    numbers = Counter((microseconds(dataset, rows) // DAY_US).tolist())
    return Counter({date.fromordinal(_EPOCH.toordinal() + number): count for number, count in numbers.items()})


def _payloads(archive: Archive, dataset: Dataset) -> Iterator[str]:
    after = 0
    while True:
        with archive.transaction(snapshot=True) as cursor:
            values = {"dataset": dataset.name, "after": after, "limit": _PAGE}
            cursor.execute(statement("quarantine_payloads"), values)
            page = cursor.fetchall()
        for after, text in page:  # noqa: B007
            yield text
        if len(page) < _PAGE:
            return


def _day_of(dataset: Dataset, payload: str) -> date | None:
    """The day of a rejected entry, a time without a zone taken as UTC; None if it has none."""
    for name, value in json.loads(payload)["fields"]:
        if name == dataset.key[1] and value is not None:
            try:
                moment = datetime.fromisoformat(value)
                return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
            except (ValueError, OverflowError):
                return None
    return None
