"""What the archive's books say of one moment to a reader: archived ranges, loaded batches, stale ranges.

Belongs here: small queries on the bookkeeping tables. Does not: rows (`archived`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Composed

from trading_data.archive.database import Archive
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange
from trading_data.reader.archive_queries import Range

ArchivedRanges = Mapping[str, list[EntryRange]]
"""The archived ranges of journals, of all their incarnations, by the name in the ledger."""


@dataclass(frozen=True)
class LedgerSnapshot:
    """The books at one moment.

    Archived ranges; which of the batches asked for are loaded; the newest batch of the dataset; the days that retention has
    dropped; where the aggregate does not show the raw rows yet (first and last moment, inclusive).
    """

    ranges: ArchivedRanges
    loaded: frozenset[str]
    newest_batch: int
    closed: frozenset[date]
    stale: tuple[Range, ...]


def read_ranges(archive: Archive, dataset: Dataset, subjects: Sequence[str] | None) -> ArchivedRanges:
    """The archived ranges of a dataset's journals, or of those of `subjects` where a journal is one subject's."""
    values = {"dataset": dataset.name, "journals": _journals(dataset, subjects)}
    return _ranges(archive.ask(statement("ranges_as_json"), values)[0][0])


def asking_for_books(
    dataset: Dataset,
    subjects: Sequence[str] | None,
    hashes: Sequence[str],
    days: tuple[date, date],
    aggregate: Aggregate | None,
    period: Range,
) -> tuple[Composed, dict[str, Any]]:
    """The statement whose answer is the books, and its values; for the beginning of the transaction that reads the rows.

    Args:
        dataset: whose books.
        subjects: of whose journals; None for all.
        hashes: of the batches of which to know whether they are loaded.
        days: first and last of the days of which to know whether they are dropped.
        aggregate: where it is stale; None for none.
        period: the range of which to know that.
    """
    finer = () if aggregate is None else dataset.aggregates[: dataset.aggregates.index(aggregate) + 1]
    values = {
        "dataset": dataset.name,
        "journals": _journals(dataset, subjects),
        "hashes": list(hashes),
        "first": days[0],
        "last": days[1],
        "aggregates": [one.name for one in finer],
        "start": period[0],
        "end": period[1],
    }
    parts = {name: statement(name) for name in ("ranges_as_json", "dropped_days", "stale_ranges")}
    return statement("loaded_batches", **parts), values


def books_in(cursor: Cursor) -> LedgerSnapshot:
    """The books that a cursor has been asked for."""
    loaded, newest, known, closed, stale = cursor.fetchone() or ([], 0, {}, [], [])
    ranges = tuple((low, high) for low, high in stale)
    return LedgerSnapshot(_ranges(known), frozenset(loaded), newest, frozenset(closed), ranges)


def last_drained(cursor: Cursor, dataset: Dataset) -> datetime | None:
    """When the newest batch from journals that is archived was drained."""
    cursor.execute(statement("last_drained"), {"dataset": dataset.name})
    row = cursor.fetchone()
    return row[0] if row else None


def _journals(dataset: Dataset, subjects: Sequence[str] | None) -> list[str] | None:
    if not dataset.carried or subjects is None:
        return None
    return [ledger_name(dataset.journal_of(subject)) for subject in subjects]


def _ranges(found: Mapping[str, Sequence[tuple[int, str, str, str]]]) -> ArchivedRanges:
    return {
        name: [
            EntryRange(number, EntryId.parse(after), EntryId.parse(last), anchor) for number, after, last, anchor in of
        ]
        for name, of in found.items()
    }
