"""Whether a day of a table was handled: it has rows, and its account balances.

Belongs here: that verdict, by what the archive holds. Does not: who is told (`orchestration.reports`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from trading_data.archive.chunks import ArchivedDay
from trading_data.archive.database import Archive
from trading_data.archive.verify.ledger import check_coverage, check_days, check_ledger
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted


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
