"""The reader's tables as callers want them: pandas frames or Arrow tables; and buckets out of raw rows.

Within the reader exact numbers are texts, as the archive writes them; here they become numbers.

Belongs here: forms. Does not: which rows.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.archive.aggregates.compute import compute
from trading_data.datasets import rules
from trading_data.datasets.declaration import Aggregate, Dataset, Rollup
from trading_data.errors import BadInput
from trading_data.reader.columns import exact_columns, schema_of, time_column
from trading_data.reader.query import Frame, Query
from trading_data.reader.session import notes
from trading_data.reader.tiers import Missing

if TYPE_CHECKING:
    import pandas as pd

EXACT = pa.decimal128(rules.DIGITS, rules.SCALE)
_WORTH_THREADS = 100_000
"""Rows from which on handing columns to threads is quicker than doing without."""
_TIER = pa.field("tier", pa.string())
_STEP = Decimal(1).scaleb(-rules.SCALE)
_TOGETHER = {"first": "first", "last": "last", "min": "min", "max": "max", "sum": "sum", "count": "sum"}
"""How a measure of a wider bucket is made from the same one of its parts."""
_CONTEXT = Context(prec=rules.DIGITS, rounding=ROUND_HALF_EVEN)


def answer(question: Query, table: pa.Table, missing: Missing, also: tuple[str, ...] = ()) -> Frame:
    """A table of the reader in the format that was asked for; `also` are notes besides those of a session filter.

    Raises:
        BadInput: an exact number has too many digits for Arrow (only sums of very large ones have).
    """
    dataset, aggregate = question.dataset, question.aggregate
    said = (*notes(question, table), *also)
    if question.format == "arrow":
        metadata = {b"missing": json.dumps(missing).encode(), b"notes": json.dumps(said).encode()}
        columns = [
            _decimals(name, table[name]) if pa.types.is_decimal(kind) else table[name]
            for name, kind in zip(table.column_names, arrow_schema(dataset, aggregate).types, strict=True)
        ]
        return pa.Table.from_arrays(columns, schema=arrow_schema(dataset, aggregate).with_metadata(metadata))
    frame = _pandas(table, exact_columns(dataset, aggregate))
    frame.attrs |= {"missing": missing, "notes": said}
    return frame


def arrow_schema(dataset: Dataset, aggregate: Aggregate | None) -> pa.Schema:
    """The schema of Arrow answers: exact numbers are decimal128(38, 18), and `tier` is last."""
    exact = exact_columns(dataset, aggregate)
    fields = [pa.field(one.name, EXACT) if one.name in exact else one for one in schema_of(dataset, aggregate)]
    return pa.schema([*fields, _TIER])


def empty(dataset: Dataset, aggregate: Aggregate | None) -> pa.Table:
    """No rows, or no buckets, with their columns and `tier`."""
    return pa.schema([*schema_of(dataset, aggregate), _TIER]).empty_table()


def with_tier(table: pa.Table, tier: str) -> pa.Table:
    """The table with the column `tier`."""
    return table.append_column(_TIER, pa.repeat(tier, table.num_rows))


def made(dataset: Dataset, aggregate: Aggregate, rows: pa.Table) -> pa.Table:
    """Buckets out of raw rows; a bucket is `live` if a row of it is."""
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


def put_together(aggregate: Aggregate, rollup: Rollup, buckets: pa.Table) -> pa.Table:
    """Buckets of an aggregate, sorted, as those of a rollup; one is `live` if a part of it is."""
    size = rollup.width // timedelta(microseconds=1)
    times = buckets["bucket"]
    begins = pa.array(times.cast(pa.int64()).to_numpy() // size * size, pa.int64()).cast(times.type)
    table = buckets.set_column(buckets.column_names.index("bucket"), "bucket", begins)
    table = table.append_column("live", pc.equal(table["tier"], "live"))
    measures = [(measure.name, _TOGETHER[measure.how]) for measure in aggregate.measures]
    # One thread, so that first and last are those of time, and groups come in the order in which they are met.
    groups = table.group_by([*aggregate.group_by, "bucket"], use_threads=False).aggregate([*measures, ("live", "any")])
    tier = pc.if_else(groups["live_any"], "live", "archive")
    groups = groups.rename_columns(
        [name if name in table.column_names else name.rpartition("_")[0] for name in groups.column_names]
    )
    return groups.drop_columns("live").append_column(_TIER, tier).select(buckets.column_names).cast(buckets.schema)


def in_order(aggregate: Aggregate, tables: Sequence[pa.Table]) -> pa.Table:
    """Buckets of several tables, sorted by group and time."""
    whole = pa.concat_tables(tables)
    order = pc.sort_indices(whole, [(name, "ascending") for name in (*aggregate.group_by, "bucket")])
    return whole.take(order)


def by_time(dataset: Dataset, aggregate: Aggregate | None, table: pa.Table, most: int | None) -> list[pa.Table]:
    """The table cut at moments into parts, in the order of time, of at most `most` rows; rows of one moment stay together."""
    if most is None or table.num_rows <= most:
        return [table]
    times = table[time_column(dataset, aggregate)].cast(pa.int64()).to_numpy()
    moments, counts = np.unique(times, return_counts=True)
    parts, low, size = [], 0, 0
    for at, count in enumerate(counts.tolist()):
        if size and size + count > most:
            parts.append((moments[low], moments[at]))
            low, size = at, 0
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
        pass  # a quotient or product has more digits behind the point
    return pa.chunked_array([pa.array([_rounded(name, text) for text in column.to_pylist()], EXACT)], EXACT)


def _rounded(name: str, text: str) -> Any:
    try:
        return Decimal(text).quantize(_STEP, context=_CONTEXT)
    except InvalidOperation:
        raise BadInput(
            f"{name} {text:.60} has more digits than Arrow's decimal128({rules.DIGITS}, {rules.SCALE}) holds: ask for "
            'format="pandas"'
        ) from None
