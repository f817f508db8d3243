"""What became of a batch, in all and by day: `Loaded`, as a load counts it and as the ledger keeps it.

Belongs here: the counts. Does not: counting (`load`).
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

COUNTS = ("inserted", "replaced", "unchanged", "quarantined")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Touched:
    """The first and last moment (UTC) of the rows of a day that changed."""

    low: datetime
    high: datetime


@dataclass
class Loaded:
    """What became of a batch. `already` says that an earlier load had committed it; then the counts are those of then.

    offered = inserted + replaced + unchanged + quarantined + replayed. `days` has the first four by UTC day, and as `moved` how
    many more rows a day has than were inserted on it (or fewer, below zero), where corrections moved some. `touched` has the range
    of changed rows by day.
    """

    batch_id: int = 0
    already: bool = False
    offered: int = 0
    inserted: int = 0
    replaced: int = 0
    unchanged: int = 0
    quarantined: int = 0
    replayed: int = 0
    missing: int = 0
    subjects: int = 0
    first: datetime | None = None
    last: datetime | None = None
    journals: list[dict[str, Any]] = field(default_factory=list)
    days: dict[date, dict[str, int]] = field(default_factory=dict)
    touched: dict[date, Touched] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Entries that no batch before had brought."""
        return self.inserted + self.replaced + self.unchanged + self.quarantined

    @property
    def days_with_rows(self) -> set[date]:
        """The days of which it brought rows, whether these were new or there already, and those that rows left."""
        return {
            day for day, counts in self.days.items() if any(counts[name] for name in counts if name != "quarantined")
        }

    def count(self, what: str, day: int, number: int = 1) -> None:
        """Add to a count, in all and on the day (days since 1970)."""
        setattr(self, what, getattr(self, what) + number)
        of_day = self.days.setdefault(_EPOCH + timedelta(days=day), dict.fromkeys(COUNTS, 0))
        of_day[what] += number

    def move(self, day: int, number: int) -> None:
        """Note that rows came to a day (days since 1970) from others, or left it (below zero)."""
        self.days.setdefault(_EPOCH + timedelta(days=day), dict.fromkeys(COUNTS, 0))["moved"] = number

    def touch(self, touched: dict[int, tuple[int, int]]) -> None:
        """Widen the changed ranges: days since 1970 with their first and last microsecond."""
        for day, (low, high) in touched.items():
            key, here = _EPOCH + timedelta(days=day), Touched(_moment(low), _moment(high))
            known = self.touched.get(key, here)
            self.touched[key] = Touched(min(known.low, here.low), max(known.high, here.high))


def from_ledger(row: dict[str, Any]) -> Loaded:
    """The counts of a batch that an earlier load had committed, from its ledger row."""
    return Loaded(
        already=True,
        **{name: row[name] for name in ("batch_id", "offered", *COUNTS, "replayed", "missing", "subjects", "journals")},
        first=row["first_timestamp"],
        last=row["last_timestamp"],
        days={date.fromisoformat(day): counts for day, counts in row["days"].items()},
    )


def _moment(microsecond: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microsecond)
