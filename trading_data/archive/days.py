"""The days of a table: which ones retention has dropped, and whether a day was handled.

The aggregates of a dropped day stand for its rows. So a late row for it goes to quarantine: in the table it would be the day's only
row, and a refresh would shrink the aggregates to it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.aggregates.compare import fingerprints_of_aggregates
from trading_data.archive.chunks import ArchivedDay
from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.archive.verify.ledger import check_coverage, check_days, check_ledger
from trading_data.archive.versions import DAY_US, Mask, day_of, microseconds, number_of
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted
from trading_data.times import DAY, day_start


def dropped_days(cursor: Cursor, dataset: Dataset, first: date = date.min, last: date = date.max) -> set[date]:
    """The dropped days from `first` to `last`, both inclusive."""
    cursor.execute(statement("dropped_days"), {"dataset": dataset.name, "first": first, "last": last})
    return {day for (day,) in cursor.fetchall()}


def in_dropped_days(cursor: Cursor, dataset: Dataset, rows: pa.Table) -> Mask:
    """Which rows lie on a dropped day."""
    if not rows.num_rows:
        return np.zeros(0, dtype=bool)
    days = microseconds(dataset, rows) // DAY_US
    return on_days(dataset, rows, dropped_days(cursor, dataset, day_of(days.min()), day_of(days.max())))


def on_days(dataset: Dataset, rows: pa.Table, days: Collection[date]) -> Mask:
    """Which rows lie on one of these days."""
    of_row: Mask = np.isin(microseconds(dataset, rows) // DAY_US, [number_of(day) for day in days])
    return of_row


def changed_since_dropped(archive: Archive, dataset: Dataset) -> list[tuple[date, str]]:
    """Each dropped day and aggregate that has changed since the day was dropped."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select day, aggregates from archive_dropped where dataset = %s order by day", (dataset.name,))
        dropped: list[tuple[date, dict[str, list[object]]]] = cursor.fetchall()
    changed = []
    for day, kept in dropped:
        with archive.transaction(snapshot=True) as cursor:
            now = fingerprints_of_aggregates(cursor, dataset, day_start(day), day_start(day) + DAY)
        changed += [(day, name) for name, is_now in now.items() if name in kept and list(is_now) != kept[name]]
    return changed


@dataclass(frozen=True)
class Handled:
    """One UTC day: its rows in the archive, and the faults of its account."""

    day: date
    rows: int
    faults: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether the day has rows and its account balances."""
        return self.rows > 0 and not self.faults

    @property
    def message(self) -> str:
        """Why the day was not handled, or how many rows it has."""
        if self.faults:
            return f"the account does not balance: {'; '.join(self.faults)}"
        return counted(self.rows, "row") if self.rows else "no row"


def handled_days(
    archive: Archive, dataset: Dataset, archived: Mapping[date, ArchivedDay], today: date, batches: Iterable[int]
) -> dict[date, Handled]:
    """Whether each archived day was handled: it has rows, and its account balances.

    Today is checked every few minutes, so by its coverage and the `batches` just loaded, at a cost that does not grow with history.
    Days before today are also checked against the whole ledger.

    Raises:
        ArchiveTierError: the archive is unreachable or refused.
    """
    since = min(batches, default=None)
    ledger = [] if since is None else check_ledger(archive, dataset, since)
    over = [day for day in archived if day < today]
    findings = [
        *ledger,
        *check_coverage(archive, dataset, archived),
        *(check_days(archive, dataset, over) if over else []),
    ]
    faults = [finding for finding in findings if not finding.ok]
    return {
        day: Handled(day, held.rows, tuple(fault.message for fault in faults if fault.day in (None, day)))
        for day, held in archived.items()
    }
