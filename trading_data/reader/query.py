"""A query to the reader: parsed and checked once, then handed on whole.

Belongs here: what a query is, and which ones make no sense. Does not: answering it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Required, TypeAlias, TypedDict

import pyarrow as pa

from trading_data.datasets import codec, dataset_named
from trading_data.datasets.declaration import Aggregate, Dataset, Rollup
from trading_data.errors import BadInput
from trading_data.times import ceil, utc

if TYPE_CHECKING:
    import pandas as pd

Range = tuple[datetime, datetime]
"""Half-open, aware, UTC."""
Times: TypeAlias = datetime | str
"""An aware datetime, an ISO 8601 text with a zone, or a bare day (its midnight UTC)."""
Symbols: TypeAlias = str | Iterable[str] | None
"""A symbol (or a metric's name), several, or None for all."""
Format: TypeAlias = Literal["pandas", "arrow"]
FORMATS = ("pandas", "arrow")
Frame: TypeAlias = "pd.DataFrame | pa.Table"
"""A data frame, or with `format="arrow"` an Arrow table."""
Missing = tuple[str, ...]
"""What an answer lacks, one text per tier or file: each begins with `archive:`, `live:` or `intake:`."""


class Options(TypedDict, total=False):
    """Keywords for any format.

    Attributes:
        as_of: only what the archive knew at that moment, so that a backtest cannot look ahead: for each key the version
            that was archived then, nothing live, and intervals made from those rows.
        partial: answer from the remaining tiers when one is away or a batch in the intake is damaged, and list in `missing`
            what the answer lacks. `as_of` always needs the archive.
        session: only rows whose time lies in a regular session of that exchange (`XNYS`), the opening included and the
            closing not. Intervals are then made from those raw rows, since the aggregates hold the others too; of days
            whose raw rows are no longer kept there is nothing. Rows of days that the exchange's calendar does not know
            (before 2000, or beyond its last year) are not filtered; a note in `notes` names the calendar's range.
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
    """What a caller wants to know.

    Attributes:
        dataset: whose rows.
        aggregate: whose buckets; None for raw rows.
        symbols: which values of the column `dataset.about` (symbols, or names of metrics), sorted; None for all.
        start: UTC, included.
        end: UTC, not included.
        as_of: see `Options`; UTC.
        session: see `Options`.
        partial: see `Options`.
        format: of the answer.
        rollup: the wider buckets to make of the aggregate's; None for the aggregate's own.
    """

    dataset: Dataset
    aggregate: Aggregate | None
    symbols: list[str] | None
    start: datetime
    end: datetime
    as_of: datetime | None = None
    session: str | None = None
    partial: bool = False
    format: Format = "pandas"
    rollup: Rollup | None = None

    def __post_init__(self) -> None:
        """Raises BadInput for an unknown format."""
        if self.format not in FORMATS:
            raise BadInput(f"there is no format {self.format!r}; there are {', '.join(FORMATS)}")

    @property
    def span(self) -> Range:
        """From start to end."""
        return self.start, self.end

    @property
    def from_rows(self) -> bool:
        """Whether buckets have to be made from raw rows, since the continuous aggregate is made from others."""
        return self.as_of is not None or self.session is not None

    @property
    def stored_aggregate(self) -> Aggregate | None:
        """The continuous aggregate to read; None where raw rows are read."""
        return None if self.from_rows else self.aggregate

    @property
    def symbol_in_key(self) -> bool:
        """Whether all versions of a row have the same symbol; a correction may give a fill another one."""
        return self.dataset.about in self.dataset.key

    @property
    def journals(self) -> list[str] | None:
        """The journals that may hold rows of the answer; None for all of the dataset."""
        if self.symbols is None or not self.symbol_in_key or not self.dataset.carried:
            return None
        return [self.dataset.journal_of(symbol) for symbol in self.symbols]

    @property
    def width(self) -> timedelta | None:
        """The length of a bucket of the answer; None for raw rows."""
        buckets = self.rollup or self.aggregate
        return None if buckets is None else buckets.width

    def rows_of(self, range_: Range) -> Range:
        """Where the raw rows lie that decide the answer for a range: all of each bucket that begins in it."""
        width = self.width
        return range_ if width is None else (ceil(range_[0], width), ceil(range_[1], width))


def parse_query(
    dataset: Dataset | str,
    symbols: Symbols,
    start: Times,
    end: Times,
    interval: str = "raw",
    *,
    as_of: Times | None = None,
    session: str | None = None,
    partial: bool = False,
    format: Format = "pandas",
) -> Query:
    """The query that a caller's arguments make.

    Raises:
        BadInput: the dataset, the interval or the format is unknown, a time has no zone, or start is after end.
    """
    declared = dataset_named(dataset) if isinstance(dataset, str) else dataset
    first, last = utc(start, "start"), utc(end, "end")
    if first > last:
        raise BadInput(f"start {first.isoformat()} is after end {last.isoformat()}")
    if interval not in declared.intervals:
        raise BadInput(f"{declared.name} has no interval {interval!r}; there are {', '.join(declared.intervals)}")
    rollup = declared.rollup(interval)
    aggregate = declared.aggregate(interval if rollup is None else rollup.of)
    moment = None if as_of is None else utc(as_of, "as_of")
    return Query(declared, aggregate, parse_symbols(symbols), first, last, moment, session, partial, format, rollup)


def parse_symbols(symbols: Symbols) -> list[str] | None:
    """The sorted list of symbols or names that a caller's argument makes; None for all."""
    if symbols is None:
        return None
    return [symbols] if isinstance(symbols, str) else sorted(set(symbols))


def schema_of(dataset: Dataset, aggregate: Aggregate | None) -> pa.Schema:
    """The Arrow schema of rows or buckets within the reader; exact numbers are texts."""
    if aggregate is None:
        return codec.schema(dataset)
    types: dict[str, pa.DataType] = {"bucket": codec.ARROW_TYPES["time"]}
    for name in aggregate.group_by:
        types[name] = codec.ARROW_TYPES[dataset.column[name].type]
    for measure in aggregate.measures:
        types[measure.name] = (
            pa.int64() if measure.how == "count" else codec.ARROW_TYPES[dataset.column[measure.of].type]
        )
    return pa.schema([(name, types[name]) for name in aggregate.columns])


def exact_columns(dataset: Dataset, aggregate: Aggregate | None) -> list[str]:
    """The columns that hold exact numbers as text."""
    if aggregate is None:
        return [column.name for column in dataset.columns if column.type == "decimal"]
    return [
        measure.name
        for measure in aggregate.measures
        if measure.how != "count" and dataset.column[measure.of].type == "decimal"
    ]


def time_column(dataset: Dataset, aggregate: Aggregate | None) -> str:
    """The name of the time column: the key's, or `bucket`."""
    return dataset.key[1] if aggregate is None else "bucket"
