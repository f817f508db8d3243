"""Refreshing aggregates: exactly the ranges that loads requested in `archive_refresh`, finest aggregate first.

A refresh never has an open start, and never covers a day whose raw chunk is gone or was dropped by retention: it would delete the
buckets of the aggregate there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg2.errors
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.errors import Refused
from trading_data.kill_points import reached
from trading_data.retry import retry
from trading_data.times import ceil, floor

_PAUSES = [0.1 * 2**attempt for attempt in range(7)]


@dataclass(frozen=True)
class Refreshed:
    """The windows that were refreshed (half-open, UTC), by day."""

    aggregate: str
    windows: dict[date, list[tuple[datetime, datetime]]]


def refresh(archive: Archive, dataset: Dataset, aggregate: Aggregate, days: Iterable[date] | None = None) -> Refreshed:
    """Refresh one aggregate for the changes on `days` (default: all requested), after the aggregates it is built on.

    Raises:
        Refused: a day's raw chunk is gone; all other windows were refreshed.
        ArchiveTierError: the archive is unavailable; requests that were not carried out remain.
    """
    wanted = None if days is None else sorted(set(days))
    levels = _built_on(dataset, aggregate)
    # The requests of all levels are read at one moment. A later request is not in the finer levels yet, so it must not count as
    # refreshed in the coarser ones.
    values = {
        "dataset": dataset.name,
        "table": dataset.table,
        "aggregates": [level.name for level in levels],
        "days": wanted,
    }
    requests = [_RefreshRequest(*row) for row in archive.ask(statement("refresh_requests"), values)]
    refreshable = _days_with_chunk(archive, dataset, requests)
    due = [request for request in requests if request.day in refreshable]
    windows: dict[date, list[tuple[datetime, datetime]]] = {}
    if due:
        with archive.autocommit() as cursor:
            for level in levels:
                windows = _refresh_level(cursor, level, [request for request in due if request.aggregate == level.name])
    impossible = [request for request in requests if request.day not in refreshable]
    if impossible:
        names = sorted({request.aggregate for request in impossible})
        missing = sorted({request.day for request in impossible})
        raise Refused(
            f"{', '.join(names)} could not be refreshed for {', '.join(map(str, missing))}: {dataset.table} no longer has a chunk "
            "of that day, and a refresh would delete the buckets that are left. See `trading-data doctor`"
        )
    return Refreshed(aggregate.name, windows)


def days_to_refresh(archive: Archive) -> dict[str, list[date]]:
    """The days for which refreshes are pending, by aggregate."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select aggregate, array_agg(distinct day order by day) from archive_refresh group by aggregate")
        return dict(cursor.fetchall())


def days_with_buckets(archive: Archive, aggregate: Aggregate, days: Iterable[date]) -> set[date]:
    """Those of `days` for which the aggregate has a bucket."""
    wanted = {"days": sorted(set(days))}
    return {day for (day,) in archive.ask(statement("days_with_buckets", view=Identifier(aggregate.name)), wanted)}


def window(aggregate: Aggregate, low: datetime, high: datetime) -> tuple[datetime, datetime]:
    """The whole buckets around the moments from `low` to `high`, both inclusive, as a half-open window."""
    return floor(low, aggregate.width), ceil(high + timedelta(microseconds=1), aggregate.width)


def merge(windows: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The same moments in as few windows as possible, ordered."""
    merged: list[tuple[datetime, datetime]] = []
    for low, high in sorted(windows):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


@dataclass(frozen=True)
class _RefreshRequest:
    """A row of `archive_refresh`: a load changed rows of a day, the first at `low`, the last at `high`.

    `has_chunk` is true if there is a chunk of exactly that day and retention has not dropped the day.
    """

    aggregate: str
    refresh_id: int
    day: date
    low: datetime
    high: datetime
    has_chunk: bool


def _built_on(dataset: Dataset, aggregate: Aggregate) -> list[Aggregate]:
    """The aggregate and those below it, finest first."""
    finer = next((other for other in dataset.aggregates if other.name == aggregate.source), None)
    return [aggregate] if finer is None else [*_built_on(dataset, finer), aggregate]


def _days_with_chunk(archive: Archive, dataset: Dataset, requests: list[_RefreshRequest]) -> set[date]:
    """The requested days with a chunk. A slower statement finds chunks that are not one day long."""
    days = {request.day for request in requests if request.has_chunk}
    others = sorted({request.day for request in requests} - days)
    if others:
        values = {"dataset": dataset.name, "table": dataset.table, "days": others}
        days |= {day for (day,) in archive.ask(statement("refreshable_days"), values)}
    return days


def _refresh_level(
    cursor: Cursor, aggregate: Aggregate, requests: list[_RefreshRequest]
) -> dict[date, list[tuple[datetime, datetime]]]:
    """Carry out the requests for one aggregate, day by day; the requests of a day are deleted once it is done."""
    windows: dict[date, list[tuple[datetime, datetime]]] = {}
    for day in sorted({request.day for request in requests}):
        of_day = [request for request in requests if request.day == day]
        ids = {"ids": [request.refresh_id for request in of_day]}
        cursor.execute("select from archive_refresh where refresh_id = any(%(ids)s)", ids)
        if not cursor.rowcount:
            continue  # another process has refreshed it since, and retention may have dropped the day's rows by now
        windows[day] = merge([window(aggregate, request.low, request.high) for request in of_day])
        for low, high in windows[day]:
            _call(cursor, aggregate, low, high)
            reached("refresh.called")
        cursor.execute(statement("delete_refresh_requests"), ids)
        reached("refresh.done")
    return windows


def _call(cursor: Cursor, aggregate: Aggregate, low: datetime, high: datetime) -> None:
    command = "call refresh_continuous_aggregate(%s, %s, %s)"
    retry(lambda: cursor.execute(command, (aggregate.name, low, high)), _is_being_refreshed, _PAUSES)


def _is_being_refreshed(error: Exception) -> bool:
    """Whether another process is refreshing the same window."""
    return isinstance(error, psycopg2.errors.LockNotAvailable)
