"""The one partitions definition: a partition is a UTC day is a chunk.

Belongs here: days as partitions, and keys as days. Does not: who is partitioned.
"""

from datetime import date, timedelta

import dagster as dg

from trading_data.orchestration.tags import DAYS
from trading_data.settings import first_shown
from trading_data.times import now

_MOST_RANGES = 20
_MOST_RUNS, _BRIDGED = 5, timedelta(days=7)
"""If there are more ranges than that, those are joined that lie no further apart."""


def daily() -> dg.DailyPartitionsDefinition:
    """UTC days from `TRADING_DATA_START`, or where the home's data begin, up to and with today."""
    first = min(first_shown(), now().date())
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone="UTC", end_offset=1)


def run_days(context: dg.AssetExecutionContext) -> list[date]:
    """The days of a run: those that a tag names, else those of its partitions, or today if it was started without any."""
    if named := context.run.tags.get(DAYS):
        return [day for pair in named.split(",") for day in _between(*pair.split("/"))]
    if context.has_partition_key or context.has_partition_key_range:
        return [date.fromisoformat(key) for key in context.partition_keys]
    return [now().date()]


def days_tag(days: list[date]) -> dict[str, str]:
    """The tag of one run for days that are no partitions; those of the first twenty ranges, for the tag is stored with the run."""
    return {DAYS: ",".join(f"{first}/{last}" for first, last in ranges(days)[:_MOST_RANGES])}


def _between(first: str, last: str) -> list[date]:
    low, high = date.fromisoformat(first), date.fromisoformat(last)
    return [low + timedelta(days=at) for at in range((high - low).days + 1)]


def few_ranges(days: list[date]) -> list[tuple[date, date]]:
    """Days as ranges for a run each, of which there are few: where there were many, those a few days apart are one.

    The days between are handled with them, which changes nothing where nothing waits; a run costs more than they do.
    """
    apart = ranges(days)
    if len(apart) <= _MOST_RUNS:
        return apart
    found = apart[:1]
    for first, last in apart[1:]:
        if first - found[-1][1] <= _BRIDGED:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def ranges(days: list[date]) -> list[tuple[date, date]]:
    """Days as contiguous ranges, both ends inclusive, in order."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found
