"""What the reader reads from TimescaleDB: the ledger's state, rows, buckets, and where there may be any.

Results come by COPY, and go into Arrow without a Python object for each value.

Belongs here: the statements. Does not: rows that are not in the archive yet (`pending`).
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Composed, Identifier

from trading_data.archive.acceptance import RowOrigin
from trading_data.archive.database import Archive
from trading_data.archive.places import SubjectDays
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import identifiers, name_in_revision, names_of, reported_column, same_row, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Dataset
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange
from trading_data.reader.query import Query, Range, schema_of, time_column
from trading_data.times import ceil, floor

ArchivedRanges = Mapping[str, list[EntryRange]]
"""The archived ranges of journals, of all their incarnations, by the name in the ledger."""
_SQL_TYPES = ("text", "timestamptz")
_MINUTE, _MICROSECOND = timedelta(minutes=1), timedelta(microseconds=1)
_WORTH_THREADS = 1 << 20
"""Bytes from which on parsing with threads is quicker than without."""


@dataclass(frozen=True)
class LedgerSnapshot:
    """The state of the ledger at one moment.

    Attributes:
        ranges: the archived ranges of the query's journals.
        loaded: the content hashes of those pending batches that are loaded.
        newest_batch: the id of the dataset's newest batch.
        dropped_days: those days of the pending rows that retention has dropped.
        stale: where the aggregate does not show the raw rows yet: first and last moment, inclusive.
    """

    ranges: ArchivedRanges
    loaded: frozenset[str]
    newest_batch: int
    dropped_days: frozenset[date]
    stale: tuple[Range, ...]


def read_ranges(archive: Archive, query: Query) -> ArchivedRanges:
    """The archived ranges of the journals that may hold rows of the answer."""
    return _ranges(archive.ask(statement("ranges_as_json"), _dataset_and_journals(query))[0][0])


def ledger_query(query: Query, hashes: Sequence[str], days: tuple[date, date]) -> tuple[Composed, dict[str, Any]]:
    """The statement that returns the ledger's state, and its values; it is sent with the beginning of a transaction.

    Args:
        query: whose answer needs it.
        hashes: content hashes of the pending batches.
        days: the first and the last day of the pending rows.
    """
    stored = query.stored_aggregate
    aggregates = query.dataset.aggregates
    finer = () if stored is None else aggregates[: aggregates.index(stored) + 1]
    start, end = query.rows_of(query.span)
    values = {
        **_dataset_and_journals(query),
        "hashes": list(hashes),
        "first": days[0],
        "last": days[1],
        "aggregates": [aggregate.name for aggregate in finer],
        "start": start,
        "end": end,
    }
    parts = {name: statement(name) for name in ("ranges_as_json", "dropped_days", "stale_ranges")}
    return statement("loaded_batches", **parts), values


def fetch_ledger(cursor: Cursor) -> LedgerSnapshot:
    """The ledger's state from a cursor that has run `ledger_query`."""
    loaded, newest, ranges, dropped, stale = cursor.fetchone() or ([], 0, {}, [], [])
    stale_ranges = tuple((low, high) for low, high in stale)
    return LedgerSnapshot(_ranges(ranges), frozenset(loaded), newest, frozenset(dropped), stale_ranges)


def last_drained(cursor: Cursor, dataset: Dataset) -> datetime | None:
    """When the newest archived batch from journals was drained."""
    cursor.execute(statement("last_drained"), {"dataset": dataset.name})
    row = cursor.fetchone()
    return row[0] if row else None


def read_rows(cursor: Cursor, query: Query, range_: Range, also: Sequence[str] = ()) -> pa.Table:
    """Raw rows in a range: those of the query's symbols, and those of the subjects `also`."""
    dataset = query.dataset
    names = {
        **names_of(dataset),
        "relation": Identifier(dataset.table),
        "columns": select_columns(dataset),
        "filter": Identifier(dataset.about),
        "or_also": SQL("or {} = any(%(also)s)").format(Identifier(dataset.subject)) if also else SQL(""),
    }
    start, end = whole_minutes(dataset, range_)
    values = {"start": start, "end": end, "subjects": query.symbols, "also": list(also)}
    rows = copy_table(cursor, statement("read_rows", **names), values, codec.schema(dataset))
    return rows if (start, end) == range_ else inside(dataset, rows, range_)


def read_versions(cursor: Cursor, dataset: Dataset, rows: pa.Table) -> pa.Table:
    """The archive's versions of some rows, at whatever moment; of a dataset whose rows have an identity."""
    names = rows[dataset.named_by[1]].unique()
    subjects = rows[dataset.subject].unique().to_pylist()
    days = SubjectDays(cursor, dataset, subjects) if subjects else None
    parts = [codec.schema(dataset).empty_table()]
    if days is not None:
        known = [subject for subject, kept in zip(subjects, days.known.tolist(), strict=True) if kept]
        own = {**names_of(dataset), "relation": Identifier(dataset.table), "columns": select_columns(dataset)}
        command = statement("read_rows", **own, filter=Identifier(dataset.subject), or_also=SQL(""))
        for low, high in days.spans:
            values = {"start": low, "end": high + _MICROSECOND, "subjects": known}
            candidates = copy_table(cursor, command, values, codec.schema(dataset))
            parts.append(candidates.filter(pc.is_in(candidates[dataset.named_by[1]], names)))
    return pa.concat_tables(parts)


def read_as_of(cursor: Cursor, query: Query, range_: Range) -> pa.Table:
    """The rows in a range as they were archived at the query's `as_of`.

    A row whose symbol was corrected later is found by the symbol that it had then.
    """
    dataset = query.dataset
    names = {
        **names_of(dataset),
        "columns": select_columns(dataset, "known"),
        "old_columns": select_columns(dataset, "old"),
        "said": reported_column(dataset, dataset.key[1], "known"),
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
        "as_of": query.as_of,
        "subjects": query.symbols,
        "keys": query.symbols if query.symbol_in_key else None,
    }
    return copy_table(cursor, statement("rows_as_of", **names), values, codec.schema(dataset))


def read_aggregate(cursor: Cursor, query: Query, range_: Range) -> pa.Table:
    """Buckets of the query's continuous aggregate that begin in a range."""
    dataset, aggregate = query.dataset, query.aggregate
    if aggregate is None:
        raise ValueError("a query for raw rows has no aggregate")
    names = {
        "relation": Identifier(aggregate.name),
        "columns": identifiers(aggregate.columns),
        "time": Identifier("bucket"),
        "filter": Identifier(dataset.about),
        "or_also": SQL(""),
    }
    values = {"start": range_[0], "end": range_[1], "subjects": query.symbols}
    return copy_table(cursor, statement("read_rows", **names), values, schema_of(dataset, aggregate))


def read_newest(cursor: Cursor, query: Query) -> pa.Table:
    """The newest row of each of the query's symbols that has one.

    First in the newest day, then in its week, as a statement costs as much as it has chunks to look into.
    """
    dataset = query.dataset
    command = statement("newest_rows", **names_of(dataset), found_columns=select_columns(dataset, "found"))
    cursor.execute(statement("newest_day"), {"dataset": dataset.name})
    ((day,),) = cursor.fetchall()
    parts, subjects = [codec.schema(dataset).empty_table()], query.symbols or []
    for low in ([] if day is None else [day, day - timedelta(days=7)]) + ["-infinity"]:
        parts.append(copy_table(cursor, command, {"subjects": subjects, "low": low}, codec.schema(dataset)))
        known = set(parts[-1][dataset.subject].to_pylist())
        subjects = [subject for subject in subjects if subject not in known]
        if not subjects:
            break
    return pa.concat_tables(parts)


def row_origins(cursor: Cursor, dataset: Dataset, rows: pa.Table) -> list[tuple[RowOrigin, str]]:
    """The batch that each of these archived rows came from, and the journal of its subject as the ledger names it."""
    subjects, times = rows[dataset.subject].to_pylist(), rows[dataset.key[1]].to_pylist()
    low, high = whole_minutes(dataset, (min(times), max(times) + _MICROSECOND))
    names = rows[dataset.named_by[1]].to_pylist()
    values = {"subjects": subjects, "names": names, "low": low, "high": high}
    own = {
        "same_row": same_row(dataset, "known", "asked"),
        "named_as": SQL(_SQL_TYPES[dataset.named_by[1] in dataset.key]),
    }
    cursor.execute(statement("row_origins", **names_of(dataset), **own), values)
    origins = {position - 1: RowOrigin(*origin) for position, *origin in cursor.fetchall()}
    return [(origins[position], ledger_name(dataset.journal_of(subject))) for position, subject in enumerate(subjects)]


def occupied(cursor: Cursor, query: Query, range_: Range) -> list[Range]:
    """Where a range may hold rows or buckets that the query reads: the ranges of the existing chunks, in order."""
    stored = query.stored_aggregate
    view = None if stored is None else stored.name
    values = {"table": query.dataset.table, "view": view, "start": range_[0], "end": range_[1]}
    cursor.execute(statement("occupied"), values)
    return [(low, high) for low, high in cursor.fetchall()]


def moment_after(cursor: Cursor, query: Query, range_: Range, rows: int) -> tuple[datetime, datetime] | None:
    """The moments of the first row in a range and of the one after the first `rows`; None if the range has no more than those."""
    stored = query.stored_aggregate
    names: dict[str, Composable] = {
        "relation": Identifier(query.dataset.table if stored is None else stored.name),
        "time": Identifier(time_column(query.dataset, stored)),
        "filter": Identifier(query.dataset.about),
    }
    values = {"start": range_[0], "end": range_[1], "subjects": query.symbols, "rows": rows}
    cursor.execute(statement("moment_after", **names), values)
    first, after, count = cursor.fetchone() or (None, None, 0)
    return (first, after) if count > rows else None


def inside(dataset: Dataset, rows: pa.Table, range_: Range) -> pa.Table:
    """The rows whose time lies in a range."""
    times = rows[dataset.key[1]]
    low, high = (pa.scalar(edge, times.type) for edge in range_)
    return rows.filter(pc.and_(pc.greater_equal(times, low), pc.less(times, high)))


def whole_minutes(dataset: Dataset, range_: Range) -> Range:
    """Where the table keeps the rows of a range: rows with an identity may lie anywhere in the minute of their time."""
    return range_ if dataset.identity is None else (floor(range_[0], _MINUTE), _minute_end(range_[1]))


def _minute_end(moment: datetime) -> datetime:
    try:
        return ceil(moment, _MINUTE)
    except OverflowError:
        return moment


def select_columns(dataset: Dataset, of: str | None = None) -> Composable:
    """All columns of a dataset's rows for a COPY that `copy_table` reads, times as they were reported."""
    return SQL(", ").join(reported_column(dataset, name, of) for name in dataset.names)


def copy_table(cursor: Cursor, command: Any, values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """The result of a `copy … to stdout (format csv)` as a table of `schema`; no value may be NULL."""
    sink = io.BytesIO()
    cursor.copy_expert(cursor.mogrify(command, values), sink)
    size = sink.tell()
    if not size:
        return schema.empty_table()
    sink.seek(0)
    return pa.csv.read_csv(
        sink,
        pa.csv.ReadOptions(column_names=schema.names, use_threads=size > _WORTH_THREADS),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(column_types=schema, strings_can_be_null=False),
    )


def _dataset_and_journals(query: Query) -> dict[str, Any]:
    journals = None if query.journals is None else [ledger_name(journal) for journal in query.journals]
    return {"dataset": query.dataset.name, "journals": journals}


def _ranges(rows: Mapping[str, Sequence[tuple[int, str, str, str]]]) -> ArchivedRanges:
    return {
        journal: [
            EntryRange(number, EntryId.parse(after), EntryId.parse(last), anchor)
            for number, after, last, anchor in parts
        ]
        for journal, parts in rows.items()
    }
