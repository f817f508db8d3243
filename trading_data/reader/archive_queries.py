"""Reading TimescaleDB: rows, buckets of continuous aggregates, newest rows, and where there may be any.

Belongs here: the statements. Does not: what is not in the archive yet (`waiting`), and the books (`books`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier

from trading_data.archive.acceptance import RowOrigin
from trading_data.archive.places import SubjectDays
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import name_in_revision, names_of, said, same_row, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.reader.columns import columns_out, copied, listed, out, schema_of, time_column
from trading_data.times import ceil, floor

Range = tuple[datetime, datetime]
"""Half-open, aware, UTC."""
_SQL_TYPES = ("text", "timestamptz")
_MINUTE, _MICROSECOND = timedelta(minutes=1), timedelta(microseconds=1)


def read_rows(
    cursor: Cursor, dataset: Dataset, about: Sequence[str] | None, range_: Range, also: Sequence[str] = ()
) -> pa.Table:
    """Raw rows in a range, the dataset's columns: those about one of `about` (None: all), and those of the subjects `also`."""
    names = {
        **names_of(dataset),
        "relation": Identifier(dataset.table),
        "columns": columns_out(dataset),
        "filter": Identifier(dataset.about),
        "or_also": SQL("or {} = any(%(also)s)").format(Identifier(dataset.subject)) if also else SQL(""),
    }
    start, end = whole_minutes(dataset, range_)
    values = {"start": start, "end": end, "subjects": listed(about), "also": list(also)}
    found = copied(cursor, statement("read_rows", **names), values, codec.schema(dataset))
    return found if (start, end) == range_ else inside(dataset, found, range_)


def read_versions(cursor: Cursor, dataset: Dataset, rows: pa.Table) -> pa.Table:
    """The archive's rows that some rows, of a dataset whose rows have an identity, are versions of, whatever moment they say."""
    names = rows[dataset.named_by[1]].unique()
    subjects = rows[dataset.subject].unique().to_pylist()
    days = SubjectDays(cursor, dataset, subjects) if subjects else None
    parts = [codec.schema(dataset).empty_table()]
    if days is not None:
        known = [subject for subject, there in zip(subjects, days.known.tolist(), strict=True) if there]
        own = {**names_of(dataset), "relation": Identifier(dataset.table), "columns": columns_out(dataset)}
        command = statement("read_rows", **own, filter=Identifier(dataset.subject), or_also=SQL(""))
        for low, high in days.spans:
            values = {"start": low, "end": high + _MICROSECOND, "subjects": known}
            found = copied(cursor, command, values, codec.schema(dataset))
            parts.append(found.filter(pc.is_in(found[dataset.named_by[1]], names)))
    return pa.concat_tables(parts)


def inside(dataset: Dataset, rows: pa.Table, range_: Range) -> pa.Table:
    """Of some rows those that say a moment in a range."""
    times = rows[dataset.key[1]]
    low, high = (pa.scalar(edge, times.type) for edge in range_)
    return rows.filter(pc.and_(pc.greater_equal(times, low), pc.less(times, high)))


def whole_minutes(dataset: Dataset, range_: Range) -> Range:
    """Where the rows of a range may be kept: where they have an identity, anywhere in the minute that they say."""
    return range_ if dataset.identity is None else (floor(range_[0], _MINUTE), _upto(range_[1], _MINUTE))


def _upto(moment: datetime, width: timedelta) -> datetime:
    try:
        return ceil(moment, width)
    except OverflowError:
        return moment


def read_aggregate(
    cursor: Cursor, dataset: Dataset, aggregate: Aggregate, about: Sequence[str] | None, range_: Range
) -> pa.Table:
    """Buckets of a continuous aggregate that begin in a range."""
    schema = schema_of(dataset, aggregate)
    names = {
        "relation": Identifier(aggregate.name),
        "columns": SQL(", ").join(
            out(Identifier(name), "time" if name == "bucket" else "") for name in aggregate.columns
        ),
        "time": Identifier("bucket"),
        "filter": Identifier(dataset.about),
        "or_also": SQL(""),
    }
    values = {"start": range_[0], "end": range_[1], "subjects": listed(about)}
    return copied(cursor, statement("read_rows", **names), values, schema)


def read_newest(cursor: Cursor, dataset: Dataset, subjects: Sequence[str]) -> pa.Table:
    """The newest row of each subject that has one."""
    command = statement("newest_rows", **names_of(dataset), found_columns=columns_out(dataset, "found"))
    return copied(cursor, command, {"subjects": list(subjects)}, codec.schema(dataset))


def row_origins(cursor: Cursor, dataset: Dataset, rows: pa.Table) -> list[tuple[RowOrigin, str]]:
    """Where each of these rows of the archive came from, and the journal of its subject as the ledger names it."""
    subjects, times = rows[dataset.subject].to_pylist(), rows[dataset.key[1]].to_pylist()
    low, high = whole_minutes(dataset, (min(times), max(times) + _MICROSECOND))
    names = rows[dataset.named_by[1]].to_pylist()
    values = {"subjects": subjects, "names": names, "low": low, "high": high}
    own = {
        "same_row": same_row(dataset, "known", "asked"),
        "named_as": SQL(_SQL_TYPES[dataset.named_by[1] in dataset.key]),
    }
    cursor.execute(statement("row_origins", **names_of(dataset), **own), values)
    found = {at - 1: RowOrigin(*of) for at, *of in cursor.fetchall()}
    return [(found[at], ledger_name(dataset.journal_of(subject))) for at, subject in enumerate(subjects)]


def occupied(cursor: Cursor, dataset: Dataset, aggregate: Aggregate | None, range_: Range) -> list[Range]:
    """Where a range may hold rows, or buckets too: the ranges of the chunks there are, in order."""
    view = None if aggregate is None else aggregate.name
    cursor.execute(statement("occupied"), {"table": dataset.table, "view": view, "start": range_[0], "end": range_[1]})
    return [(low, high) for low, high in cursor.fetchall()]


def moment_after(
    cursor: Cursor, dataset: Dataset, aggregate: Aggregate | None, about: Sequence[str] | None, range_: Range, rows: int
) -> tuple[datetime, datetime] | None:
    """The moments of the first row in a range and of the one after the first `rows`; None if it holds no more than those."""
    names: dict[str, Composable] = {
        "relation": Identifier(dataset.table if aggregate is None else aggregate.name),
        "time": Identifier(time_column(dataset, aggregate)),
        "filter": Identifier(dataset.about),
    }
    values = {"start": range_[0], "end": range_[1], "subjects": listed(about), "rows": rows}
    cursor.execute(statement("moment_after", **names), values)
    first, after, count = cursor.fetchone() or (None, None, 0)
    return (first, after) if count > rows else None


def read_as_of(
    cursor: Cursor, dataset: Dataset, about: Sequence[str] | None, range_: Range, as_of: datetime
) -> pa.Table:
    """The rows in a range as they were archived at `as_of`, those about one of `about` (None: all).

    A row that a correction made one about something else is found under what it was about then.
    """
    names = {
        **names_of(dataset),
        "columns": columns_out(dataset, "known"),
        "old_columns": columns_out(dataset, "old"),
        "said": said(dataset, dataset.key[1], "known"),
        "of_subject": name_in_revision(dataset),
        "filter": Identifier(dataset.about),
    }
    low, high = whole_minutes(dataset, range_)
    values = {
        "low": low,
        "high": high,
        "dataset": dataset.name,
        "start": range_[0],
        "end": range_[1],
        "as_of": as_of,
        "subjects": listed(about),
        "keys": listed(about) if dataset.about in dataset.key else None,
    }
    return copied(cursor, statement("rows_as_of", **names), values, codec.schema(dataset))
