"""Days that retention has dropped are closed: their aggregates stand for them, and what comes late for them is quarantined.

A late row cannot be written any more: alone in a new chunk it would be all that is left of its day, and a refresh would make
the aggregates say so. In quarantine it is lost to nobody.

Belongs here: which days are closed, whether they are as they were, and what becomes of rows for them. Does not: dropping
(`operations.maintenance.retention`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.aggregates.compare import fingerprints_of_aggregates
from trading_data.archive.chunks import ArchivedDay
from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.archive.verify.ledger import check_coverage, check_days, check_ledger
from trading_data.archive.versions import DAY_US, Mask, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted
from trading_data.times import DAY, day_start


@dataclass(frozen=True)
class Handled:
    """One UTC day: how many rows the archive holds of it, and what of its account does not balance."""

    day: date
    rows: int
    faults: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is a row and nothing is wrong."""
        return self.rows > 0 and not self.faults

    @property
    def said(self) -> str:
        """Why the day was not handled, or how many rows it has."""
        if self.faults:
            return f"the account does not balance: {'; '.join(self.faults)}"
        return counted(self.rows, "row") if self.rows else "no row"


def handled_days(
    archive: Archive, dataset: Dataset, found: Mapping[date, ArchivedDay], today: date, batches: Iterable[int]
) -> dict[date, Handled]:
    """The verdict on each day of `found`.

    Today is judged by its coverage and by `batches`, those that were just loaded, at a cost that does not grow with history:
    it is judged every few minutes. Days that are over are judged by the whole ledger too.

    Raises:
        ArchiveTierError: the archive is away.
    """
    since = min(batches, default=None)
    ledger = [] if since is None else check_ledger(archive, dataset, since)
    over = [day for day in found if day < today]
    findings = [
        *ledger,
        *check_coverage(archive, dataset, found),
        *(check_days(archive, dataset, over) if over else []),
    ]
    faults = [finding for finding in findings if not finding.ok]
    return {
        day: Handled(day, held.rows, tuple(fault.said for fault in faults if fault.day in (None, day)))
        for day, held in found.items()
    }


_EPOCH = date(1970, 1, 1)
KIND = "day dropped"
TOO_LATE = (
    "retention has dropped its day from {table}, whose aggregates are kept as they were: discard it, or keep it here; it would "
    "be all that the archive holds of that day"
)
"""Why a row for a day that was dropped waits in quarantine."""


def closed_days(cursor: Cursor, dataset: Dataset, first: date = date.min, last: date = date.max) -> set[date]:
    """The days from `first` to `last`, both inclusive, whose raw rows retention has dropped."""
    cursor.execute(statement("dropped_days"), {"dataset": dataset.name, "first": first, "last": last})
    return {day for (day,) in cursor.fetchall()}


def in_closed_days(cursor: Cursor, dataset: Dataset, rows: pa.Table) -> Mask:
    """Which rows lie in a day that is closed."""
    if not rows.num_rows:
        return np.zeros(0, dtype=bool)
    days = microseconds(dataset, rows) // DAY_US
    return on_days(dataset, rows, closed_days(cursor, dataset, _day(days.min()), _day(days.max())))


def on_days(dataset: Dataset, rows: pa.Table, days: Collection[date]) -> Mask:
    """Which rows lie in one of these days."""
    found: Mask = np.isin(microseconds(dataset, rows) // DAY_US, [(day - _EPOCH).days for day in days])
    return found


def changed_since_closed(archive: Archive, dataset: Dataset) -> list[tuple[date, str]]:
    """Each closed day and aggregate that is not what it was when the day was closed."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select day, aggregates from archive_dropped where dataset = %s order by day", (dataset.name,))
        closed: list[tuple[date, dict[str, list[object]]]] = cursor.fetchall()
    found = []
    for day, kept in closed:
        with archive.transaction(snapshot=True) as cursor:
            now = fingerprints_of_aggregates(cursor, dataset, day_start(day), day_start(day) + DAY)
        found += [(day, name) for name, is_now in now.items() if name in kept and list(is_now) != kept[name]]
    return found


def _day(number: int) -> date:
    return _EPOCH + timedelta(days=int(number))
