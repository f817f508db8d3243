"""Group `aggregates`: one asset for each continuous aggregate, finest first; refreshing a run's days and reporting them."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import dagster as dg

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.aggregates.refresh import Refreshed, days_to_refresh, days_with_buckets, refresh
from trading_data.archive.database import Archive
from trading_data.archive.verify.ledger import chunk_days
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.orchestration.assets.sources import OWNER
from trading_data.orchestration.declared import EQUAL
from trading_data.orchestration.metadata import aggregate_metadata
from trading_data.orchestration.reports import Event, Reports, emptied, handled, news, standing
from trading_data.orchestration.verdicts import equals_raw
from trading_data.printable import counted

_SHOWN = 10
_NO_ROW = "no row"


def aggregate_specs(dataset: Dataset, partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetSpec]:
    """The assets of a dataset's continuous aggregates."""
    return [
        dg.AssetSpec(
            aggregate.name,
            group_name="aggregates",
            deps=[aggregate.source],
            partitions_def=partitions,
            kinds={"timescaledb", "postgres"},
            owners=[OWNER],
            skippable=True,
            metadata=aggregate_metadata(dataset, aggregate),
            description=f"The continuous aggregate `{aggregate.name}`: {dataset.title} by {', '.join(aggregate.group_by)} and "
            f"{aggregate.interval}, built on `{aggregate.source}`. A run refreshes exactly the ranges that loads have changed. "
            "A day is green when it has a bucket and no range of it waits for a refresh.",
        )
        for aggregate in dataset.aggregates
    ]


def refresh_days(
    instance: dg.DagsterInstance,
    reports: Reports,
    database: Archive,
    dataset: Dataset,
    aggregates: Iterable[Aggregate],
) -> Iterator[Event]:
    """Refresh the run's days of these aggregates, finest first, and report which of their days are right."""
    with_chunks = chunk_days(database, dataset)
    for aggregate in aggregates:
        done = refresh(database, dataset, aggregate, reports.days)
        wrong = {day: _differences(database, dataset, aggregate, done, day) for day in done.windows}
        late = set(days_to_refresh(database).get(aggregate.name, []))
        days = {*reports.days, *(reports.not_green(aggregate.name, with_chunks) - late)}
        filled, unreported = days_with_buckets(database, aggregate, days), reports.unreported(aggregate.name, days)
        sent: list[Event] = []
        for day in sorted(days):
            reason = _not_right(day in filled, day in late, wrong.get(day, []))
            if reason == _NO_ROW and day in done.windows and reports.is_green(aggregate.name, day):
                sent.append(emptied(aggregate.name, day, _figures(done, day)))
            elif reason:
                sent += reports.not_handled(aggregate.name, day, reason)
            elif reports.is_due(aggregate.name, day, unreported):
                sent.append(handled(aggregate.name, day, _figures(done, day)))
        yield from sent
        if done.windows:
            equal = equals_raw(aggregate, [line for lines in wrong.values() for line in lines])
            yield from news(instance, [equal], every=reports.every_verdict(sent))
        elif reports.every_verdict(sent):
            yield from standing(instance, aggregate.name, EQUAL)


def _differences(archive: Archive, dataset: Dataset, aggregate: Aggregate, done: Refreshed, day: date) -> list[str]:
    return [line for low, high in done.windows[day] for line in differences(archive, dataset, aggregate, low, high)]


def _not_right(bucket: bool, late: bool, wrong: list[str]) -> str:
    """Why a day of an aggregate is not green; empty if it is."""
    if wrong:
        return (
            f"{counted(len(wrong), 'bucket differs', 'buckets differ')} from the raw rows: {'; '.join(wrong[:_SHOWN])}"
        )
    if late:
        return "a load has changed its rows since the last refresh"
    return "" if bucket else _NO_ROW


def _figures(done: Refreshed, day: date) -> dict[str, Any]:
    windows = done.windows.get(day, [])
    shown = "\n".join(f"- {low:%H:%M} to {high:%H:%M}" for low, high in windows[:_SHOWN])
    return {"refreshed windows": len(windows), "windows (UTC)": dg.MetadataValue.md(shown or "nothing to do")}
