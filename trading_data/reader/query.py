"""A question to the reader, checked: which dataset, about what, when, in which interval, and how it may be answered.

Belongs here: what a question is and which forms of it make no sense. Does not: answering it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Required, TypeAlias, TypedDict

import pyarrow as pa

from trading_data.datasets import dataset_named
from trading_data.datasets.declaration import Aggregate, Dataset, Rollup
from trading_data.errors import BadInput
from trading_data.reader.archive_queries import Range
from trading_data.times import ceil, utc

if TYPE_CHECKING:
    import pandas as pd

Times: TypeAlias = datetime | str
"""An aware datetime, an ISO 8601 text with a zone, or a bare day (its midnight UTC)."""
About: TypeAlias = str | Iterable[str] | None
"""One symbol (or metric), some, or None for all."""
Format: TypeAlias = Literal["pandas", "arrow"]
FORMATS = ("pandas", "arrow")
Frame: TypeAlias = "pd.DataFrame | pa.Table"
"""A data frame, or with `format="arrow"` an Arrow table."""


class Options(TypedDict, total=False):
    """Keywords for any format.

    Attributes:
        as_of: only what the archive knew at that moment, so that a backtest cannot look ahead: for each key the version
            that was archived then, nothing live, and intervals made from those rows.
        partial: answer with what can be read when a tier is away or a batch in the intake is damaged, and say in `missing`
            what is not in it. With `as_of` the archive cannot be done without.
        session: only rows whose time lies in a regular session of that exchange (`XNYS`), the opening included and the
            closing not. Intervals are then made from those raw rows, since the aggregates hold the others too; of days
            whose raw rows are no longer kept there is nothing. Rows of days that the exchange's calendar does not know
            (before 2000, or beyond its last year) are not filtered; `notes` says so.
    """

    as_of: Times | None
    partial: bool
    session: str | None


class Pandas(Options, total=False):
    """Keywords for data frames: `format` need not be given."""

    format: Literal["pandas"]


class Arrow(Options, total=False):
    """Keywords for Arrow tables."""

    format: Required[Literal["arrow"]]


class Either(Options, total=False):
    """Keywords of which the format is known only when the program runs."""

    format: Format


ALWAYS: Range = (datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Query:
    """What is asked for. `aggregate` None are raw rows, and its buckets are put together by `rollup`, where there is one; `about`
    None are all symbols or metrics; times are UTC.
    """

    dataset: Dataset
    aggregate: Aggregate | None
    about: list[str] | None
    start: datetime
    end: datetime
    as_of: datetime | None = None
    session: str | None = None
    partial: bool = False
    format: Format = "pandas"
    rollup: Rollup | None = None

    def __post_init__(self) -> None:
        """Raises BadInput for a format that there is not."""
        if self.format not in FORMATS:
            raise BadInput(f"there is no format {self.format!r}; there are {', '.join(FORMATS)}")

    @property
    def from_rows(self) -> bool:
        """Whether buckets have to be made from raw rows, since the continuous aggregate is made from others."""
        return self.as_of is not None or self.session is not None

    @property
    def subjects(self) -> list[str] | None:
        """The subjects that the key of every row in the answer has; None where the key does not tell."""
        return self.about if self.dataset.about in self.dataset.key else None

    def rows_of(self, range_: Range) -> Range:
        """The raw rows that decide the answer for a range: of buckets those that begin in it, whole."""
        width = self.width
        return range_ if width is None else (ceil(range_[0], width), ceil(range_[1], width))

    @property
    def width(self) -> timedelta | None:
        """How long a bucket of the answer is; None for raw rows."""
        wide = self.rollup or self.aggregate
        return None if wide is None else wide.width


def ask(
    dataset: Dataset | str,
    about: About,
    start: Times,
    end: Times,
    interval: str = "raw",
    *,
    as_of: Times | None = None,
    session: str | None = None,
    partial: bool = False,
    format: Format = "pandas",
) -> Query:
    """A question from what a caller gives.

    Raises:
        BadInput: there is no such dataset, interval or format, a time has no zone, or the range is the wrong way round.
    """
    named = dataset_named(dataset) if isinstance(dataset, str) else dataset
    first, last = utc(start, "start"), utc(end, "end")
    if first > last:
        raise BadInput(f"start {first.isoformat()} is after end {last.isoformat()}")
    if interval not in named.intervals:
        raise BadInput(f"{named.name} has no interval {interval!r}; there are {', '.join(named.intervals)}")
    rollup = named.rollup(interval)
    aggregate = named.aggregate(interval if rollup is None else rollup.of)
    moment = None if as_of is None else utc(as_of, "as_of")
    return Query(named, aggregate, subjects_of(about), first, last, moment, session, partial, format, rollup)


def subjects_of(given: About) -> list[str] | None:
    """Symbols or names as callers give them: one, some, or None for all."""
    if given is None:
        return None
    return [given] if isinstance(given, str) else sorted(set(given))
