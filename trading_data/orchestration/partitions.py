"""The one partitions definition: a partition is a UTC day is a chunk.

Belongs here: days as partitions, and keys as days. Does not: who is partitioned.
"""

from datetime import date, timedelta

import dagster as dg

from trading_data.settings import Settings
from trading_data.times import now


def daily() -> dg.DailyPartitionsDefinition:
    """UTC days from `TRADING_DATA_START` up to and with today."""
    return dg.DailyPartitionsDefinition(start_date=Settings.from_env().start.isoformat(), timezone="UTC", end_offset=1)


def run_days(context: dg.AssetExecutionContext) -> list[date]:
    """The days of a run: those of its partitions, or today if it was started without any."""
    if context.has_partition_key or context.has_partition_key_range:
        return [date.fromisoformat(key) for key in context.partition_keys]
    return [now().date()]


def range_tags(first: date, last: date) -> dict[str, str]:
    """The tags of one run for all days from `first` to `last`, both included."""
    return {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}


def ranges(days: list[date]) -> list[tuple[date, date]]:
    """Days as contiguous ranges, both ends inclusive, in order."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found
