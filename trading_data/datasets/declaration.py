"""The types in which `trading_data.datasets` declares price, trade and metrics.

Belongs here: the form of a declaration, and names derived from it. Does not: the declarations (`datasets/__init__.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import ClassVar, Literal

ColumnType = Literal["text", "float", "decimal", "time"]
"""`text` UTF-8; `float` a finite double; `decimal` an exact number, carried as canonical text; `time` aware UTC, µs."""


class _Declared:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    """Read by pydantic when a declaration comes from YAML."""


@dataclass(frozen=True)
class Column(_Declared):
    """One column, the same in the journal entry, the batch and the hypertable.

    `ge`, `gt`, `le` and `lt` bound its numbers: greater or equal, greater, less or equal, less; `choices` are the only
    texts allowed; `name_like` marks a text that names something (a symbol, an order). `datasets.rules` has the rules.
    """

    name: str
    type: ColumnType
    description: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    name_like: bool = False


@dataclass(frozen=True)
class Measure(_Declared):
    """One column of a continuous aggregate: `how` it is computed from column `of` of the raw table.

    `how` is one of first, last, min, max, sum, mean, count, product_sum, vwap; the last two also need `by`.
    """

    name: str
    how: Literal["first", "last", "min", "max", "sum", "mean", "count", "product_sum", "vwap"]
    of: str
    by: str = ""


@dataclass(frozen=True)
class Aggregate(_Declared):
    """A continuous aggregate: its view, interval, columns to group by, and the relation it is built on."""

    name: str
    interval: str
    width: timedelta
    source: str
    group_by: tuple[str, ...]
    measures: tuple[Measure, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the view, in the contract's order."""
        return (*self.group_by, "bucket", *(measure.name for measure in self.measures))


@dataclass(frozen=True)
class Rollup(_Declared):
    """An interval without its own view: its buckets are combined from those of the finer interval `of`.

    `width` is a multiple of that interval, and divides a day. Only measures that can be combined allow it: first, last, min, max,
    sum, count.
    """

    interval: str
    width: timedelta
    of: str


@dataclass(frozen=True)
class Sources(_Declared):
    """Which source wins if two disagree on one key, and what counts as disagreement.

    Attributes:
        order: the best source first; all others follow as equals. Among equals the newest row wins.
        compared: the columns to compare when a row replaces another source's.
        tolerance: the largest difference, relative to the larger value, that is no disagreement.
    """

    order: tuple[str, ...]
    compared: tuple[str, ...]
    tolerance: float

    def rank(self, source: str) -> int:
        """The position in `order`, 0 for the best; its length for a source that is not named there."""
        return self.order.index(source) if source in self.order else len(self.order)


@dataclass(frozen=True)
class Dataset(_Declared):
    """One dataset, declared once; codecs, snapshot, load, trim, reader, assets and checks follow from it.

    Attributes:
        name: `price`, `trade`, …; also the stem of the asset names.
        table: the hypertable.
        journal: the stream's key; a `{placeholder}` names the column whose value is part of the key. Empty if rows only come
            from files.
        latest: the hash with the newest value, for producers without a journal; None if there is none to poll.
        columns: key columns first; the fields of a journal entry and the column in the stream's key.
        key: the primary key; its last column is the time.
        identity: a column that identifies a row of its subject; None if the time does. Several rows of a subject may then have
            one moment: the table keeps later ones at the next free microsecond, with the reported moment in another column.
        ordered: pairs of columns whose first must not exceed the second.
        hot_window: how long an entry stays in its journal after its acceptance, although it is archived. A longer one takes memory
            of the live tier; see `docs/concepts.md` for who needs these entries. A change takes effect when the code location is
            restarted; nothing is migrated.
        segment_by, order_by: columnstore settings. The order is the key's time.
        compress_after, drop_after: ages of a chunk; a `drop_after` of None keeps it for ever.
        aggregates: finest first, each built on the one before it or on the table.
        rollups: intervals that are combined from an aggregate.
        freshness: the greatest age of the newest archived row while the feed runs.
        fresh_while_open: count only the time in which the exchange is open.
        sources: which source wins, for a dataset with a column `source` whose key two sources may share; None if the newest
            row always wins.
        export_before_drop: retention writes a chunk to a cold Parquet file, proven row by row, before it drops it.
        drop_needs_backup: retention only drops a chunk that a backup covers.
        drop_needs_drill: that backup must also have passed a restore drill.
        chunk: the time range of a chunk, in whole days. Coverage by minute is only kept for chunks of one day.
        odd_values: rows are bars; `archive.verify.odd_values` reports those that look wrong but break no rule.
    """

    name: str
    title: str
    table: str
    journal: str
    latest: str | None
    columns: tuple[Column, ...]
    key: tuple[str, str]
    identity: str | None
    ordered: tuple[tuple[str, str], ...]
    hot_window: timedelta
    segment_by: str
    order_by: str
    compress_after: timedelta
    drop_after: timedelta | None
    aggregates: tuple[Aggregate, ...]
    freshness: timedelta
    fresh_while_open: bool = False
    sources: Sources | None = None
    export_before_drop: bool = False
    drop_needs_backup: bool = False
    drop_needs_drill: bool = False
    chunk: timedelta = timedelta(days=1)
    odd_values: bool = False
    rollups: tuple[Rollup, ...] = ()

    @cached_property
    def column(self) -> Mapping[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def carried(self) -> str | None:
        """The column in the journal's key (`symbol` for price), or None if one stream holds all rows."""
        return self.journal.partition("{")[2].rstrip("}") or None

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The field names of a journal entry, in order."""
        return tuple(name for name in self.names if name != self.carried)

    @cached_property
    def prefix(self) -> str:
        """The journal's key up to its placeholder (`journal:price:`), or the whole key."""
        return self.journal.partition("{")[0]

    @cached_property
    def latest_prefix(self) -> str | None:
        """The latest-value key up to its placeholder (`stocks:price:`)."""
        return None if self.latest is None else self.latest.partition("{")[0]

    @property
    def has_coverage(self) -> bool:
        """Whether coverage by minute is kept; it means nothing for daily rows."""
        return self.chunk == timedelta(days=1)

    @property
    def plural(self) -> str:
        """The name as the commands write it: `prices`, `trades`, `metrics`, `daily`."""
        return self.name if self.name.endswith(("s", "y")) else f"{self.name}s"

    @property
    def snapshot(self) -> str:
        """Name of the asset that drains the journal."""
        return f"{self.name}_snapshot"

    @property
    def subject(self) -> str:
        """The key column that is not the time, such as the symbol."""
        return self.key[0]

    @property
    def named_by(self) -> tuple[str, str]:
        """The columns that identify a row: entries with equal values are versions of one row."""
        return self.key if self.identity is None else (self.subject, self.identity)

    @property
    def about(self) -> str:
        """The column by which callers select rows and coverage is kept: the symbol if there is one, else the subject."""
        return "symbol" if "symbol" in self.column else self.subject

    def aggregate(self, interval: str) -> Aggregate | None:
        """The aggregate of that interval, or None."""
        return next((aggregate for aggregate in self.aggregates if aggregate.interval == interval), None)

    def rollup(self, interval: str) -> Rollup | None:
        """The rollup of that interval, or None."""
        return next((rollup for rollup in self.rollups if rollup.interval == interval), None)

    @property
    def intervals(self) -> tuple[str, ...]:
        """The intervals of queries: `raw`, then aggregates and rollups, the finest first."""
        widths = {aggregate.interval: aggregate.width for aggregate in self.aggregates} | {
            rollup.interval: rollup.width for rollup in self.rollups
        }
        return ("raw", *sorted(widths, key=lambda interval: widths[interval]))

    def journal_of(self, subject: str) -> str:
        """The journal for entries about `subject`."""
        return self.prefix + subject if self.carried else self.journal
