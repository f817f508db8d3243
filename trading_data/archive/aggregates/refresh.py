"""Refreshing aggregates: exactly the ranges that loads have left behind in `archive_refresh`, finest first.

Never an open start, and never a range whose raw chunk is gone or was dropped by retention: a refresh there would delete what
the aggregate holds.

Belongs here: which windows, and calling TimescaleDB. Does not: who asks for it and when.
"""

import time
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
from trading_data.times import ceil, floor

_ATTEMPTS = 8


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: windows refreshed (half-open, UTC) by day."""

    aggregate: str
    windows: dict[date, list[tuple[datetime, datetime]]]


def refresh(archive: Archive, dataset: Dataset, aggregate: Aggregate, days: Iterable[date] | None = None) -> Refreshed:
    """Refresh one aggregate over what changed on `days` (default: whatever is waiting), after the ones it is built on.

    Raises:
        Refused: a day's raw chunk is gone; all other windows were refreshed.
        ArchiveTierError: the archive is away; what was not refreshed stays asked for.
    """
    wanted = None if days is None else sorted(set(days))
    levels = _built_on(dataset, aggregate)
    # All at one moment: what loads ask for from here on is not in the finer ones yet, so it must not count as refreshed in
    # the coarser ones.
    values = {
        "dataset": dataset.name,
        "table": dataset.table,
        "aggregates": [level.name for level in levels],
        "days": wanted,
    }
    asked = [_RefreshRequest(*row) for row in archive.ask(statement("refresh_asked"), values)]
    there = _chunk_days(archive, dataset, asked)
    due = [one for one in asked if one.day in there]
    windows: dict[date, list[tuple[datetime, datetime]]] = {}
    if due:
        with archive.autocommit() as cursor:
            for level in levels:
                windows = _refresh_level(cursor, level, [one for one in due if one.aggregate == level.name])
    gone = [one for one in asked if one.day not in there]
    if gone:
        names, missing = sorted({one.aggregate for one in gone}), sorted({one.day for one in gone})
        raise Refused(
            f"{', '.join(names)} could not be refreshed for {', '.join(map(str, missing))}: {dataset.table} holds no chunk of that "
            "day any more, and a refresh would delete what the aggregate still has. See `trading-data doctor`"
        )
    return Refreshed(aggregate.name, windows)


def waiting(archive: Archive) -> dict[str, list[date]]:
    """The days for which each aggregate is yet to be refreshed."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select aggregate, array_agg(distinct day order by day) from archive_refresh group by aggregate")
        return dict(cursor.fetchall())


def days_with_buckets(archive: Archive, aggregate: Aggregate, days: Iterable[date]) -> set[date]:
    """Those of `days` of which the aggregate holds a bucket."""
    wanted = {"days": sorted(set(days))}
    return {day for (day,) in archive.ask(statement("days_with_buckets", view=Identifier(aggregate.name)), wanted)}


def window(aggregate: Aggregate, low: datetime, high: datetime) -> tuple[datetime, datetime]:
    """The whole buckets that hold every moment from `low` to `high`, both inclusive, as a half-open window."""
    return floor(low, aggregate.width), ceil(high + timedelta(microseconds=1), aggregate.width)


def merge(windows: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The same moments in as few windows as possible, in order."""
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

    `has_chunk` says whether there is a chunk of exactly that day, and the day is not closed.
    """

    aggregate: str
    refresh_id: int
    day: date
    low: datetime
    high: datetime
    has_chunk: bool


def _built_on(dataset: Dataset, aggregate: Aggregate) -> list[Aggregate]:
    """The aggregate and those below it, finest first."""
    finer = next((one for one in dataset.aggregates if one.name == aggregate.source), None)
    return [aggregate] if finer is None else [*_built_on(dataset, finer), aggregate]


def _chunk_days(archive: Archive, dataset: Dataset, asked: list[_RefreshRequest]) -> set[date]:
    """The days with a chunk; of one that is no day long TimescaleDB has to be asked in a slower way."""
    there = {one.day for one in asked if one.has_chunk}
    others = sorted({one.day for one in asked} - there)
    if others:
        values = {"dataset": dataset.name, "table": dataset.table, "days": others}
        there |= {day for (day,) in archive.ask(statement("refreshable_days"), values)}
    return there


def _refresh_level(
    cursor: Cursor, aggregate: Aggregate, asked: list[_RefreshRequest]
) -> dict[date, list[tuple[datetime, datetime]]]:
    """Refresh what was asked for of one aggregate, day by day; each day is forgotten once it is done."""
    windows: dict[date, list[tuple[datetime, datetime]]] = {}
    for day in sorted({one.day for one in asked}):
        of_day = [one for one in asked if one.day == day]
        ids = {"ids": [one.refresh_id for one in of_day]}
        cursor.execute("select from archive_refresh where refresh_id = any(%(ids)s)", ids)
        if not cursor.rowcount:
            continue  # another process has refreshed it since: retention may have dropped the day's rows by now
        windows[day] = merge([window(aggregate, one.low, one.high) for one in of_day])
        for low, high in windows[day]:
            _call(cursor, aggregate, low, high)
            reached("refresh.called")
        cursor.execute(statement("forget_refresh"), ids)
        reached("refresh.done")
    return windows


def _call(cursor: Cursor, aggregate: Aggregate, low: datetime, high: datetime) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            cursor.execute("call refresh_continuous_aggregate(%s, %s, %s)", (aggregate.name, low, high))
            return
        except psycopg2.errors.LockNotAvailable:  # somebody refreshes the same window just now
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.1 * 2**attempt)
