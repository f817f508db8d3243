"""Forms of the reader's tables: pandas frames and Arrow tables for callers, buckets made of rows, rows of a session.

Within the reader exact numbers are texts, as the archive writes them; here they become numbers.

Belongs here: what is done with a table. Does not: reading one.
"""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import codec, rules
from trading_data.datasets.declaration import Aggregate, Dataset, Measure, Rollup
from trading_data.errors import BadInput
from trading_data.reader.query import Frame, Missing, Query, exact_columns, schema_of, time_column

if TYPE_CHECKING:
    import pandas as pd

_EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
"""Precise enough for a sum of products of 38-digit numbers, as many as fit into memory, and for a quotient of two such sums."""
_NUMERIC_DIGITS = 16
"""The minimum of significant digits of a quotient in PostgreSQL, counted in groups of four digits."""


def compute(dataset: Dataset, aggregate: Aggregate, rows: "pd.DataFrame") -> "pd.DataFrame":
    """Aggregate raw rows (the dataset's columns, any order) into buckets aligned to midnight UTC.

    Returns:
        The aggregate's columns, one row per group and bucket, sorted by group and bucket.
    """
    import pandas as pd

    time = dataset.key[1]
    frame = rows.sort_values(time, kind="stable")
    frame = frame.assign(bucket=frame[time].dt.floor(pd.Timedelta(aggregate.width)))
    keys = [*aggregate.group_by, "bucket"]
    groups = frame.groupby(keys, sort=True, observed=True)
    with localcontext(_EXACT):
        buckets = pd.DataFrame({measure.name: _measure(frame, keys, groups, measure) for measure in aggregate.measures})
    return buckets.reset_index()[list(aggregate.columns)]


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """The quotient of two exact numbers, with as many decimal places as PostgreSQL's numeric gives it."""
    weight, first = _leading_group(numerator)
    other_weight, other_first = _leading_group(denominator)
    groups = weight - other_weight - (first <= other_first)
    digits = max(_NUMERIC_DIGITS - 4 * groups, _decimal_places(numerator), _decimal_places(denominator), 0)
    with localcontext(_EXACT):
        return (numerator / denominator).quantize(Decimal(1).scaleb(-digits))


def _leading_group(number: Decimal) -> tuple[int, int]:
    """The first non-zero group of four digits in numeric's representation: its position from the decimal point, and its value."""
    if not number:
        return 0, 0
    weight = number.adjusted() // 4
    return weight, int(abs(number).scaleb(-4 * weight))


def _decimal_places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _measure(frame: "pd.DataFrame", keys: list[str], groups: Any, measure: Measure) -> "pd.Series":
    import pandas as pd

    if measure.how in ("product_sum", "vwap"):
        product = frame[measure.of] * frame[measure.by]
        by_key = [frame[key] for key in keys]
        total = product.groupby(by_key, sort=True, observed=True).agg(_total)
        if measure.how == "product_sum":
            return total
        weights = groups[measure.by].agg(_total)
        if total.dtype != object:
            quotients: pd.Series = total / weights
            return quotients
        return pd.Series([ratio(*pair) for pair in zip(total, weights, strict=True)], index=total.index, dtype=object)
    simple: dict[str, str | Callable[..., Any]] = {"mean": "mean", "count": "count", "sum": _total}
    measured: pd.Series = groups[measure.of].agg(simple.get(measure.how, measure.how))
    return measured


def _total(values: "pd.Series") -> Any:
    return sum(values, Decimal(0)) if values.dtype == object else values.sum()


EXACT = pa.decimal128(rules.DIGITS, rules.SCALE)
_WORTH_THREADS = 100_000
"""Rows from which on converting with threads is quicker than without."""
_MICROSECOND = timedelta(microseconds=1)
_TIER = pa.field("tier", pa.string())
_STEP = Decimal(1).scaleb(-rules.SCALE)
_ROLLED_UP = {"first": "first", "last": "last", "min": "min", "max": "max", "sum": "sum", "count": "sum"}
"""How a measure of a wider bucket is computed from the same measure of its parts."""
_CONTEXT = Context(prec=rules.DIGITS, rounding=ROUND_HALF_EVEN)


def answer(query: Query, table: pa.Table, missing: Missing, notes: tuple[str, ...] = ()) -> Frame:
    """A table of the reader in the query's format, with `missing` and with `notes` and those of the session filter.

    Raises:
        BadInput: an exact number has too many digits for Arrow, which only sums of very large ones have.
    """
    dataset, aggregate = query.dataset, query.aggregate
    notes = (*_session_notes(query, table), *notes)
    if query.format == "arrow":
        schema = arrow_schema(dataset, aggregate)
        metadata = {b"missing": json.dumps(missing).encode(), b"notes": json.dumps(notes).encode()}
        columns = [
            _decimals(name, table[name]) if pa.types.is_decimal(type_) else table[name]
            for name, type_ in zip(table.column_names, schema.types, strict=True)
        ]
        return pa.Table.from_arrays(columns, schema=schema.with_metadata(metadata))
    frame = _pandas(table, exact_columns(dataset, aggregate))
    frame.attrs |= {"missing": missing, "notes": notes}
    return frame


def arrow_schema(dataset: Dataset, aggregate: Aggregate | None) -> pa.Schema:
    """The schema of Arrow answers: exact numbers are decimal128(38, 18), and `tier` is last."""
    exact = exact_columns(dataset, aggregate)
    schema = schema_of(dataset, aggregate)
    fields = [pa.field(field.name, EXACT) if field.name in exact else field for field in schema]
    return pa.schema([*fields, _TIER])


def empty(dataset: Dataset, aggregate: Aggregate | None) -> pa.Table:
    """No rows, or no buckets, with their columns and `tier`."""
    return pa.schema([*schema_of(dataset, aggregate), _TIER]).empty_table()


def with_tier(table: pa.Table, tier: str) -> pa.Table:
    """The table with the column `tier`."""
    return table.append_column(_TIER, pa.repeat(tier, table.num_rows))


def in_session(exchange: str, times: pa.ChunkedArray) -> pa.Array:
    """Which rows a session filter keeps: those in a session, and those at times that the calendar does not know.

    Raises:
        BadInput: there is no such exchange.
    """
    from trading_data.calendars.calendar import TradingCalendar

    return pa.array(~TradingCalendar.named(exchange).outside(times))


def _session_notes(query: Query, table: pa.Table) -> tuple[str, ...]:
    """The note about rows or buckets that the session filter could not judge, if the table has any."""
    if query.session is None or not table.num_rows:
        return ()
    from trading_data.calendars.calendar import TradingCalendar

    calendar = TradingCalendar.named(query.session)
    first = table[time_column(query.dataset, query.aggregate)]
    width = query.width or _MICROSECOND
    last = pa.array(first.cast(pa.int64()).to_numpy() + (width // _MICROSECOND - 1), pa.int64())
    if np.all(calendar.knows(first) & calendar.knows(last.cast(codec.ARROW_TYPES["time"]))):
        return ()
    return (f"session: rows of days without a calendar are not filtered: {calendar.known}",)


def buckets_of(dataset: Dataset, aggregate: Aggregate, rows: pa.Table) -> pa.Table:
    """Buckets made of raw rows; a bucket is `live` if one of its rows is."""
    import pandas as pd

    if not rows.num_rows:
        return empty(dataset, aggregate)
    frame = _pandas(rows, exact_columns(dataset, None))
    buckets = compute(dataset, aggregate, frame)
    exact = exact_columns(dataset, aggregate)
    for name in exact:
        buckets[name] = [format(number, "f") for number in buckets[name]]
    keys = [*aggregate.group_by, "bucket"]
    frame["bucket"] = frame[dataset.key[1]].dt.floor(pd.Timedelta(aggregate.width))
    live = frame.assign(live=frame["tier"] == "live").groupby(keys, sort=True, observed=True)["live"].any()
    table = pa.Table.from_pandas(buckets, schema=schema_of(dataset, aggregate), preserve_index=False)
    return table.replace_schema_metadata(None).append_column(_TIER, pa.array(np.where(live, "live", "archive")))


def roll_up(aggregate: Aggregate, rollup: Rollup, buckets: pa.Table) -> pa.Table:
    """A rollup's buckets, made of an aggregate's, which are sorted; a bucket is `live` if one of its parts is."""
    size = rollup.width // _MICROSECOND
    times = buckets["bucket"]
    begins = pa.array(times.cast(pa.int64()).to_numpy() // size * size, pa.int64()).cast(times.type)
    table = buckets.set_column(buckets.column_names.index("bucket"), "bucket", begins)
    table = table.append_column("live", pc.equal(table["tier"], "live"))
    measures = [(measure.name, _ROLLED_UP[measure.how]) for measure in aggregate.measures]
    # One thread, so that `first` and `last` follow time, and groups keep the order of their first rows.
    groups = table.group_by([*aggregate.group_by, "bucket"], use_threads=False).aggregate([*measures, ("live", "any")])
    tier = pc.if_else(groups["live_any"], "live", "archive")
    groups = groups.rename_columns(
        [name if name in table.column_names else name.rpartition("_")[0] for name in groups.column_names]
    )
    return groups.drop_columns("live").append_column(_TIER, tier).select(buckets.column_names).cast(buckets.schema)


def in_order(aggregate: Aggregate, tables: Sequence[pa.Table]) -> pa.Table:
    """Buckets of several tables, sorted by group and time."""
    buckets = pa.concat_tables(tables)
    order = pc.sort_indices(buckets, [(name, "ascending") for name in (*aggregate.group_by, "bucket")])
    return buckets.take(order)


def by_time(dataset: Dataset, aggregate: Aggregate | None, table: pa.Table, most: int | None) -> list[pa.Table]:
    """The table in parts of at most `most` rows, in the order of time; rows of one moment stay together."""
    if most is None or table.num_rows <= most:
        return [table]
    times = table[time_column(dataset, aggregate)].cast(pa.int64()).to_numpy()
    moments, counts = np.unique(times, return_counts=True)
    parts, low, size = [], 0, 0
    for position, count in enumerate(counts.tolist()):
        if size and size + count > most:
            parts.append((moments[low], moments[position]))
            low, size = position, 0
        size += count
    parts.append((moments[low], moments[-1] + 1))
    return [table.filter(pa.array((times >= first) & (times < last))) for first, last in parts]


def _pandas(table: pa.Table, exact: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    frame: pd.DataFrame = table.to_pandas(use_threads=table.num_rows > _WORTH_THREADS)
    for name in exact:
        frame[name] = pd.Series([Decimal(text) for text in frame[name]], index=frame.index, dtype=object)
    return frame


def _decimals(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(EXACT)
    except pa.ArrowInvalid:
        pass  # quotients and products may have more digits after the point
    return pa.chunked_array([pa.array([_rounded(name, text) for text in column.to_pylist()], EXACT)], EXACT)


def _rounded(name: str, text: str) -> Any:
    try:
        return Decimal(text).quantize(_STEP, context=_CONTEXT)
    except InvalidOperation:
        raise BadInput(
            f"{name} {text:.60} has more digits than Arrow's decimal128({rules.DIGITS}, {rules.SCALE}) holds: ask for "
            'format="pandas"'
        ) from None
