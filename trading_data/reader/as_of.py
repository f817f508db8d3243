"""What the archive knew at a moment, for backtests that must not look ahead.

A version of a row was known from the `archived_at` of the batch that brought it until that of the batch that replaced it.
Live and waiting entries are no part of it. Numbers come back as they were: exact ones as their text, floats bit by bit
(but for the sign of a zero, which JSON does not keep).

Belongs here: the version of each key at a moment. Does not: what is known now (`archived`, `waiting`).
"""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Identifier

from trading_data.archive.sql import names_of, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.reader.archived import _copy, _listed, _out, aggregate_schema


def read_as_of(
    cursor: Cursor,
    dataset: Dataset,
    filter_on: str,
    subjects: Sequence[str] | None,
    start: datetime,
    end: datetime,
    as_of: datetime,
) -> pa.Table:
    """The rows in [start, end) as they were archived at `as_of`; `filter_on` is the column that `subjects` names values of.

    A row that a correction gave to another value of `filter_on` is found under the one that it had.
    """
    names = {
        **names_of(dataset),
        "columns": SQL(", ").join(_out(column.name, column.type, "known") for column in dataset.columns),
        "old_columns": SQL(", ").join(_out(column.name, column.type, "old") for column in dataset.columns),
        "filter": Identifier(filter_on),
    }
    values = {
        "dataset": dataset.name,
        "start": start,
        "end": end,
        "as_of": as_of,
        "subjects": _listed(subjects),
        "keys": _listed(subjects) if filter_on == dataset.subject else None,
    }
    return _copy(cursor, statement("rows_as_of", **names), values, codec.schema(dataset))


def no_buckets(dataset: Dataset, aggregate: Aggregate) -> pa.Table:
    """No buckets at all, with their columns and `tier`."""
    return aggregate_schema(dataset, aggregate).empty_table().append_column("tier", pa.array([], pa.string()))
