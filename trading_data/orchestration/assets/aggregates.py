"""Group `aggregates`: one asset a continuous aggregate, finest first.

Belongs here: the assets. Does not: refreshing (`aggregates.refresh`).
"""

from datetime import date

import dagster as dg

from trading_data.aggregates.compare import differences
from trading_data.aggregates.refresh import refresh
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Aggregate, Dataset
from trading_data.orchestration.assets.sources import OWNER
from trading_data.orchestration.metadata import aggregate_metadata
from trading_data.orchestration.partitions import daily
from trading_data.orchestration.resources import ArchiveTier, one_clear_line

_SHOWN = 10


def aggregate_assets() -> list[dg.AssetsDefinition]:
    """One asset a continuous aggregate."""
    return [_aggregate_asset(dataset, one) for dataset in DATASETS.values() for one in dataset.aggregates]


def _aggregate_asset(dataset: Dataset, aggregate: Aggregate) -> dg.AssetsDefinition:
    @dg.asset(
        name=aggregate.name,
        group_name="aggregates",
        deps=[aggregate.source],
        partitions_def=daily(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"refresh_{dataset.name}",
        kinds={"timescaledb", "postgres"},
        owners=[OWNER],
        metadata=aggregate_metadata(dataset, aggregate),
        check_specs=[
            dg.AssetCheckSpec(
                "equals_raw", asset=aggregate.name, description="The refreshed ranges equal the raw rows."
            )
        ],
        description=f"The continuous aggregate `{aggregate.name}`: {dataset.title} by {', '.join(aggregate.group_by)} and "
        f"{aggregate.interval}, built on `{aggregate.source}`. Refreshes exactly the ranges that loads have changed.",
    )
    def aggregate_asset(context: dg.AssetExecutionContext, archive: ArchiveTier) -> dg.MaterializeResult:  # type: ignore[type-arg]
        days = [date.fromisoformat(key) for key in context.partition_keys]
        with one_clear_line(), archive.connect() as database:
            done = refresh(database, dataset, aggregate, days)
            wrong = [
                line
                for windows in done.windows.values()
                for low, high in windows
                for line in differences(database, dataset, aggregate, low, high)
            ]
        for day in days:
            windows = done.windows.get(day, [])
            shown = "\n".join(f"- {low:%H:%M} to {high:%H:%M}" for low, high in windows[:_SHOWN])
            figures = {
                "refreshed windows": len(windows),
                "windows (UTC)": dg.MetadataValue.md(shown or "nothing to do"),
            }
            context.add_asset_metadata(figures, partition_key=str(day))
        check = dg.AssetCheckResult(
            check_name="equals_raw",
            passed=not wrong,
            description=f"{len(wrong)} buckets differ from the raw rows: {'; '.join(wrong[:_SHOWN])}"
            if wrong
            else "The refreshed ranges equal the raw rows.",
            metadata={"differing buckets": len(wrong)},
        )
        return dg.MaterializeResult(check_results=[check])

    return aggregate_asset
