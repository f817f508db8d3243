"""The one partitions definition: a partition is a UTC day is a chunk. And days as ranges."""

from collections.abc import Iterable
from datetime import date, timedelta

import dagster as dg

from trading_data.orchestration.resources import Environment
from trading_data.orchestration.tags import DAYS
from trading_data.settings import first_shown_day
from trading_data.times import now

_MOST_RANGES = 20
_MOST_RUNS, _BRIDGED = 5, timedelta(days=7)
"""If there are more ranges than `_MOST_RUNS`, those no further apart than `_BRIDGED` are joined."""


def daily(environment: Environment) -> dg.DailyPartitionsDefinition:
    """UTC days from `TRADING_DATA_START`, or from the first day with data in this home, up to and including today."""
    first = min(first_shown_day(environment.variables), now().date())
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone="UTC", end_offset=1)


def run_days(context: dg.AssetExecutionContext) -> list[date]:
    """The days of a run: those that a tag names, else those of its partitions, else today."""
    if tagged := context.run.tags.get(DAYS):
        return [day for pair in tagged.split(",") for day in _between(*pair.split("/"))]
    if context.has_partition_key or context.has_partition_key_range:
        return [date.fromisoformat(key) for key in context.partition_keys]
    return [now().date()]


def days_tag(days: Iterable[date]) -> dict[str, str]:
    """The tag of one run for days that are no partitions; only the first twenty ranges, since the tag is stored with the run."""
    return {DAYS: ",".join(f"{first}/{last}" for first, last in ranges(days)[:_MOST_RANGES])}


def _between(first: str, last: str) -> list[date]:
    low, high = date.fromisoformat(first), date.fromisoformat(last)
    return [low + timedelta(days=number) for number in range((high - low).days + 1)]


def few_ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days as a few ranges, one for each run; of many ranges, those a few days apart are joined.

    The days in between are handled too. Where nothing waits that changes nothing, and it costs less than another run.
    """
    contiguous = ranges(days)
    return contiguous if len(contiguous) <= _MOST_RUNS else _joined(contiguous, _BRIDGED)


def ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days as contiguous ranges, both ends inclusive, in order."""
    return _joined([(day, day) for day in sorted(set(days))], timedelta(days=1))


def _joined(parts: list[tuple[date, date]], gap: timedelta) -> list[tuple[date, date]]:
    """Ranges in order, those joined of which one begins at most `gap` after the end of the one before."""
    joined = parts[:1]
    for first, last in parts[1:]:
        if first - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
