"""Reading TimescaleDB into Arrow: COPY out and columns in, without a Python object a value.

Belongs here: the statements and the types of what they return. Does not: what is not in the archive yet.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier

from trading_data.archive.sql import names_of, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Aggregate, Dataset

Range = tuple[datetime, datetime]


def read_rows(
    cursor: Cursor, dataset: Dataset, filter_on: str, subjects: Sequence[str] | None, start: datetime, end: datetime
) -> pa.Table:
    """Raw rows in [start, end), the dataset's columns; `filter_on` is the column that `subjects` names values of."""
    names = {
        **names_of(dataset),
        "relation": Identifier(dataset.table),
        "columns": SQL(", ").join(_out(column.name, column.type) for column in dataset.columns),
        "filter": Identifier(filter_on),
    }
    values = {"start": start, "end": end, "subjects": _listed(subjects)}
    return _copy(cursor, statement("read_rows", **names), values, codec.schema(dataset))


def read_aggregate(
    cursor: Cursor,
    dataset: Dataset,
    aggregate: Aggregate,
    filter_on: str,
    subjects: Sequence[str] | None,
    start: datetime,
    end: datetime,
) -> pa.Table:
    """Buckets of a continuous aggregate that begin in [start, end)."""
    schema = aggregate_schema(dataset, aggregate)
    kinds = {"bucket": "time"}
    names = {
        "relation": Identifier(aggregate.name),
        "columns": SQL(", ").join(_out(name, kinds.get(name, "")) for name in aggregate.columns),
        "time": Identifier("bucket"),
        "filter": Identifier(filter_on),
    }
    values = {"start": start, "end": end, "subjects": _listed(subjects)}
    return _copy(cursor, statement("read_rows", **names), values, schema)


def read_newest(cursor: Cursor, dataset: Dataset, subjects: Sequence[str]) -> pa.Table:
    """The newest row of each subject that has one."""
    found = SQL(", ").join(_out(column.name, column.type, "found") for column in dataset.columns)
    command = statement("newest_rows", **names_of(dataset), found_columns=found)
    return _copy(cursor, command, {"subjects": list(subjects)}, codec.schema(dataset))


def aggregate_schema(dataset: Dataset, aggregate: Aggregate) -> pa.Schema:
    """The Arrow schema of an aggregate's rows; exact numbers are strings."""
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


def _out(name: str, kind: str, of: str | None = None) -> Composable:
    column = Identifier(of, name) if of else Identifier(name)
    return SQL("(extract(epoch from {}) * 1000000)::bigint").format(column) if kind == "time" else column


def _listed(subjects: Sequence[str] | None) -> list[str] | None:
    return None if subjects is None else list(subjects)


def _copy(cursor: Cursor, command: Any, values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    out = io.BytesIO()
    cursor.copy_expert(cursor.mogrify(command, values), out)
    if not out.tell():
        return schema.empty_table()
    out.seek(0)
    wire = [pa.field(one.name, pa.int64() if pa.types.is_timestamp(one.type) else one.type) for one in schema]
    table = pa.csv.read_csv(
        out,
        pa.csv.ReadOptions(column_names=schema.names),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(column_types=pa.schema(wire), strings_can_be_null=False),
    )
    columns = [pc.cast(column, one.type) for column, one in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)
