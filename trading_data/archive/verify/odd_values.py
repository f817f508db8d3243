"""Values that look wrong rather than are wrong: they are archived as they came, and told.

Belongs here: finding them in the archive, and saying so. Does not: values that are not legal (`datasets.rules`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trading_data.archive.database import Archive
from trading_data.archive.sql import names_of, statement
from trading_data.datasets.declaration import Dataset
from trading_data.printable import counted
from trading_data.times import DAY, day_start

TIMES = 50
"""A price so many times that of the bar before it looks like a wrong unit or a split that was not adjusted."""


@dataclass(frozen=True)
class OddValues:
    """Rows of one kind: how many, symbol and moment (UTC) of the first, and their UTC days."""

    kind: str
    rows: int
    subject: str
    moment: datetime
    days: frozenset[date] = frozenset()

    def said(self) -> str:
        """For people: the first of them, and how it is shown."""
        day = self.moment.date()
        return (
            f"{self.kind}: {counted(self.rows, 'row')}, the first {self.subject} at {self.moment:%Y-%m-%d %H:%M}Z "
            f"(`trading-data query prices {self.subject} --start {day} --end {day + DAY}`)"
        )


def odd_values(
    archive: Archive, dataset: Dataset, days: Iterable[date], batches: Sequence[int] | None = None
) -> list[OddValues]:
    """What looks wrong among a dataset's rows of some UTC days, by kind; of these `batches` alone where they are given."""
    if not dataset.odd_values:
        return []
    odd_valueses: dict[str, OddValues] = {}
    for first, last in _runs(days):
        values = {
            "start": day_start(first),
            "end": day_start(last) + DAY,
            "batches": None if batches is None else list(batches),
            "times": TIMES,
        }
        with archive.transaction() as cursor:
            cursor.execute(statement("odd_values", **names_of(dataset)), values)
            rows = cursor.fetchall()
        for kind, count, moment, subject, odd_days in rows:
            known = odd_valueses.get(kind, OddValues(kind, 0, subject, moment))
            odd_valueses[kind] = OddValues(
                kind, known.rows + count, known.subject, known.moment, known.days.union(odd_days)
            )
    return [odd_valueses[kind] for kind in sorted(odd_valueses)]


def _runs(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """Days that follow one another, as their first and last: one statement for each."""
    first = last = None
    for day in sorted(set(days)):
        if last is not None and first is not None and day - last > DAY:
            yield first, last
            first = day
        first, last = first or day, day
    if first is not None and last is not None:
        yield first, last
