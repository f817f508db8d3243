"""Reading TimescaleDB: rows, buckets of continuous aggregates, newest rows, and where there may be any.

Belongs here: the statements. Does not: what is not in the archive yet (`waiting`), and the books (`books`).
"""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier

from trading_data.archive.acceptance import RowOrigin
from trading_data.archive.rejects import ledger_name
from trading_data.archive.sql import names_of, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.reader.columns import copied, listed, out, schema_of, time_column

Range = tuple[datetime, datetime]
"""Half-open, aware, UTC."""


def read_rows(
    cursor: Cursor, dataset: Dataset, about: Sequence[str] | None, one: Range, also: Sequence[str] = ()
) -> pa.Table:
    """Raw rows in a range, the dataset's columns: those about one of `about` (None: all), and those of the subjects `also`."""
    names = {
        **names_of(dataset),
        "relation": Identifier(dataset.table),
        "columns": SQL(", ").join(out(column.name, column.type) for column in dataset.columns),
        "filter": Identifier(dataset.about),
        "or_also": SQL("or {} = any(%(also)s)").format(Identifier(dataset.subject)) if also else SQL(""),
    }
    values = {"start": one[0], "end": one[1], "subjects": listed(about), "also": list(also)}
    return copied(cursor, statement("read_rows", **names), values, codec.schema(dataset))


def read_aggregate(
    cursor: Cursor, dataset: Dataset, aggregate: Aggregate, about: Sequence[str] | None, one: Range
) -> pa.Table:
    """Buckets of a continuous aggregate that begin in a range."""
    schema = schema_of(dataset, aggregate)
    names = {
        "relation": Identifier(aggregate.name),
        "columns": SQL(", ").join(out(name, "time" if name == "bucket" else "") for name in aggregate.columns),
        "time": Identifier("bucket"),
        "filter": Identifier(dataset.about),
        "or_also": SQL(""),
    }
    values = {"start": one[0], "end": one[1], "subjects": listed(about)}
    return copied(cursor, statement("read_rows", **names), values, schema)


def read_newest(cursor: Cursor, dataset: Dataset, subjects: Sequence[str]) -> pa.Table:
    """The newest row of each subject that has one."""
    found = SQL(", ").join(out(column.name, column.type, "found") for column in dataset.columns)
    command = statement("newest_rows", **names_of(dataset), found_columns=found)
    return copied(cursor, command, {"subjects": list(subjects)}, codec.schema(dataset))


def row_origins(cursor: Cursor, dataset: Dataset, rows: pa.Table) -> list[tuple[RowOrigin, str]]:
    """Where each of these rows of the archive came from, and the journal of its subject as the ledger names it."""
    subjects, times = rows[dataset.subject].to_pylist(), rows[dataset.key[1]].to_pylist()
    values = {"subjects": subjects, "times": times, "low": min(times), "high": max(times)}
    cursor.execute(statement("row_origins", **names_of(dataset)), values)
    found = {at - 1: RowOrigin(*of) for at, *of in cursor.fetchall()}
    return [(found[at], ledger_name(dataset.journal_of(subject))) for at, subject in enumerate(subjects)]


def occupied(cursor: Cursor, dataset: Dataset, aggregate: Aggregate | None, one: Range) -> list[Range]:
    """Where a range may hold rows, or buckets too: the ranges of the chunks there are, in order."""
    view = None if aggregate is None else aggregate.name
    cursor.execute(statement("occupied"), {"table": dataset.table, "view": view, "start": one[0], "end": one[1]})
    return [(low, high) for low, high in cursor.fetchall()]


def moment_after(
    cursor: Cursor, dataset: Dataset, aggregate: Aggregate | None, about: Sequence[str] | None, one: Range, rows: int
) -> tuple[datetime, datetime] | None:
    """The moments of the first row in a range and of the one after the first `rows`; None if it holds no more than those."""
    names: dict[str, Composable] = {
        "relation": Identifier(dataset.table if aggregate is None else aggregate.name),
        "time": Identifier(time_column(dataset, aggregate)),
        "filter": Identifier(dataset.about),
    }
    values = {"start": one[0], "end": one[1], "subjects": listed(about), "rows": rows}
    cursor.execute(statement("moment_after", **names), values)
    first, after, count = cursor.fetchone() or (None, None, 0)
    return (first, after) if count > rows else None
