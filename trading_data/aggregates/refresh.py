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

from trading_data.archive.database import Archive
from trading_data.archive.sql import statement
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.errors import ArchiveTierError, Refused
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
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(statement("refresh_asked"), {"aggregate": aggregate.name, "days": wanted})
        asked: list[tuple[int, date, datetime, datetime]] = cursor.fetchall()
        there = _chunk_days(cursor, dataset, asked)
    # Only now: what loads ask for from here on is not in the finer ones yet, so it must not count as refreshed here.
    finer = next((one for one in dataset.aggregates if one.name == aggregate.source), None)
    if finer is not None:
        refresh(archive, dataset, finer, wanted)
    windows: dict[date, list[tuple[datetime, datetime]]] = {}
    for day in sorted({one[1] for one in asked}):
        of_day = [one for one in asked if one[1] == day]
        if day not in there or not _still_asked(archive, of_day):
            continue
        windows[day] = merge([window(aggregate, low, high) for _, _, low, high in of_day])
        for low, high in windows[day]:
            _call(archive, aggregate, low, high)
            reached("refresh.called")
        with archive.transaction() as cursor:
            cursor.execute("delete from archive_refresh where refresh_id = any(%s)", ([one[0] for one in of_day],))
        reached("refresh.done")
    gone = sorted({one[1] for one in asked} - there)
    if gone:
        raise Refused(
            f"{aggregate.name} was not refreshed for {', '.join(map(str, gone))}: {dataset.table} holds no chunk of that day any "
            "more, and a refresh would delete what the aggregate still has. See `trading-data doctor`"
        )
    return Refreshed(aggregate.name, windows)


def waiting(archive: Archive) -> dict[str, list[date]]:
    """The days for which each aggregate is yet to be refreshed."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select aggregate, array_agg(distinct day order by day) from archive_refresh group by aggregate")
        return dict(cursor.fetchall())


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


def _chunk_days(cursor: object, dataset: Dataset, asked: list[tuple[int, date, datetime, datetime]]) -> set[date]:
    if not asked:
        return set()
    values = {"dataset": dataset.name, "table": dataset.table, "days": sorted({one[1] for one in asked})}
    cursor.execute(statement("refreshable_days"), values)  # type: ignore[attr-defined]
    return {row[0] for row in cursor.fetchall()}  # type: ignore[attr-defined]


def _still_asked(archive: Archive, asked: list[tuple[int, date, datetime, datetime]]) -> bool:
    """False if another process has refreshed it since: retention may have dropped the day's rows by now."""
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select from archive_refresh where refresh_id = any(%s)", ([one[0] for one in asked],))
        return cursor.rowcount > 0


def _call(archive: Archive, aggregate: Aggregate, low: datetime, high: datetime) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            with archive.autocommit() as cursor:
                cursor.execute("call refresh_continuous_aggregate(%s, %s, %s)", (aggregate.name, low, high))
            return
        except ArchiveTierError as error:
            # 55P03: somebody refreshes the same window just now.
            if not isinstance(error.__cause__, psycopg2.errors.LockNotAvailable) or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.1 * 2**attempt)
