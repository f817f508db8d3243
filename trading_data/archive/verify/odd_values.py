"""Values that are legal but look wrong: they are archived unchanged, and reported.

Belongs here: finding them in the archive, and the report. Does not: illegal values (`datasets.rules`).
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
"""A price this many times that of the bar before looks like a wrong unit, or a split that was not adjusted."""


@dataclass(frozen=True)
class OddValues:
    """Rows with one kind of odd value: their number, symbol and moment (UTC) of the first, and their UTC days."""

    kind: str
    rows: int
    subject: str
    moment: datetime
    days: frozenset[date] = frozenset()

    def sentence(self) -> str:
        """For people: their number, the first of them, and the command that shows it."""
        day = self.moment.date()
        return (
            f"{self.kind}: {counted(self.rows, 'row')}, the first {self.subject} at {self.moment:%Y-%m-%d %H:%M}Z "
            f"(`trading-data query prices {self.subject} --start {day} --end {day + DAY}`)"
        )


def odd_values(
    archive: Archive, dataset: Dataset, days: Iterable[date], batches: Sequence[int] | None = None
) -> list[OddValues]:
    """The odd values among a dataset's rows of some UTC days, by kind; only those of `batches` if given."""
    if not dataset.odd_values:
        return []
    by_kind: dict[str, OddValues] = {}
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
            known = by_kind.get(kind, OddValues(kind, 0, subject, moment))
            by_kind[kind] = OddValues(kind, known.rows + count, known.subject, known.moment, known.days.union(odd_days))
    return [by_kind[kind] for kind in sorted(by_kind)]


def _runs(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """Runs of consecutive days, as first and last day: one statement for each."""
    first = last = None
    for day in sorted(set(days)):
        if last is not None and first is not None and day - last > DAY:
            yield first, last
            first = day
        first, last = first or day, day
    if first is not None and last is not None:
        yield first, last
