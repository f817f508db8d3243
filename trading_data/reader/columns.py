"""How columns come out of the archive: by COPY, times as microseconds, into Arrow without a Python object a value.

Belongs here: what the reading statements share, and the Arrow types of what they return. Does not: the statements.
"""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable

from trading_data.archive.sql import said
from trading_data.datasets import codec
from trading_data.datasets.declaration import Aggregate, Dataset

_WORTH_THREADS = 1 << 20
"""Bytes from which on handing them to threads is quicker than doing without."""


def out(column: Composable, kind: str) -> Composable:
    """A column as a statement has to return it: a time as microseconds since 1970, anything else as it is."""
    return SQL("(extract(epoch from {}) * 1000000)::bigint").format(column) if kind == "time" else column


def columns_out(dataset: Dataset, of: str | None = None) -> Composable:
    """All columns of a dataset's rows, as `out` returns them and as they were reported."""
    return SQL(", ").join(out(said(dataset, column.name, of), column.type) for column in dataset.columns)


def listed(values: Sequence[str] | None) -> list[str] | None:
    """Texts as a bound array; None stays NULL, which the statements take for all."""
    return None if values is None else list(values)


def copied(cursor: Cursor, command: Any, values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """What a `copy … to stdout (format csv)` returns, as a table of `schema`; none of it may be NULL."""
    sink = io.BytesIO()
    cursor.copy_expert(cursor.mogrify(command, values), sink)
    size = sink.tell()
    if not size:
        return schema.empty_table()
    sink.seek(0)
    wire = [pa.field(one.name, pa.int64() if pa.types.is_timestamp(one.type) else one.type) for one in schema]
    table = pa.csv.read_csv(
        sink,
        pa.csv.ReadOptions(column_names=schema.names, use_threads=size > _WORTH_THREADS),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(column_types=pa.schema(wire), strings_can_be_null=False),
    )
    columns = [pc.cast(column, one.type) for column, one in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def schema_of(dataset: Dataset, aggregate: Aggregate | None) -> pa.Schema:
    """The Arrow schema of rows or buckets on their way through the reader; exact numbers are texts."""
    if aggregate is None:
        return codec.schema(dataset)
    kinds: dict[str, pa.DataType] = {"bucket": codec.ARROW_TYPES["time"]}
    for name in aggregate.group_by:
        kinds[name] = codec.ARROW_TYPES[dataset.column[name].type]
    for measure in aggregate.measures:
        kinds[measure.name] = (
            pa.int64() if measure.how == "count" else codec.ARROW_TYPES[dataset.column[measure.of].type]
        )
    return pa.schema([(name, kinds[name]) for name in aggregate.columns])


def exact_columns(dataset: Dataset, aggregate: Aggregate | None) -> list[str]:
    """The columns that carry exact numbers as text."""
    if aggregate is None:
        return [column.name for column in dataset.columns if column.type == "decimal"]
    return [
        measure.name
        for measure in aggregate.measures
        if measure.how != "count" and dataset.column[measure.of].type == "decimal"
    ]


def time_column(dataset: Dataset, aggregate: Aggregate | None) -> str:
    """The column that says when: the key's time, or `bucket`."""
    return dataset.key[1] if aggregate is None else "bucket"
