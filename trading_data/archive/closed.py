"""Days that retention has dropped are closed: their aggregates stand for them, and what comes late for them is quarantined.

A late row cannot be written any more: alone in a new chunk it would be all that is left of its day, and a refresh would make
the aggregates say so. In quarantine it is lost to nobody.

Belongs here: which days are closed, whether they are as they were, and what becomes of rows for them. Does not: dropping
(`operations.maintenance.retention`).
"""

from collections.abc import Collection
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.aggregates.compare import fingerprints_of_aggregates
from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.archive.versions import DAY_US, Mask, microseconds
from trading_data.datasets.declaration import Dataset
from trading_data.times import DAY, day_start

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
