"""One step for each dataset: drain its journals, load what waits, refresh the aggregates of the run's days.

A run handles whatever waits, for all days. A day turns green by the state of its data: a day of a table when its accounts balance
and it has a row, whichever run brought the rows. So no asset yields an output, which would turn all days of the run green; it
yields an event for each day. A step does only what was requested: for the aggregates alone, it only refreshes.
"""

from collections.abc import Iterator

import dagster as dg

from trading_data.datasets.declaration import Dataset
from trading_data.orchestration.assets.aggregates import aggregate_specs, refresh_days
from trading_data.orchestration.assets.archive import load, table_spec
from trading_data.orchestration.assets.snapshots import drain, snapshot_spec
from trading_data.orchestration.partitions import daily, run_days
from trading_data.orchestration.reports import Event, Reports
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, LiveTier, as_dagster_failure


def dataset_assets(dataset: Dataset, environment: Environment) -> dg.AssetsDefinition:
    """One multi-asset: the dataset's snapshot, its table, its aggregates."""
    partitions = daily(environment)

    @dg.multi_asset(
        name=dataset.table,
        specs=[
            snapshot_spec(dataset, partitions),
            table_spec(dataset, partitions, environment.vendor),
            *aggregate_specs(dataset, partitions),
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=dataset.name,
    )
    def dataset_step(
        context: dg.AssetExecutionContext,
        live: LiveTier,
        archive: ArchiveTier,
        intake: IntakeStore,
        environment: dg.ResourceParam[Environment],
    ) -> Iterator[Event]:
        days, asked = run_days(context), {key.to_user_string() for key in context.selected_asset_keys}
        reports = Reports(context.instance, asked, days, context.run.tags)
        with as_dagster_failure(), archive.connect() as database:
            if asked & {dataset.snapshot, dataset.table}:
                with live.for_archiver() as client:
                    yield from drain(context, reports, client, database, intake.open(), dataset, environment)
                    if dataset.table in asked:
                        yield from load(context, reports, client, database, intake.open(), dataset, environment)
            aggregates = [aggregate for aggregate in dataset.aggregates if asked & {aggregate.name, dataset.table}]
            if aggregates:
                yield from refresh_days(context.instance, reports, database, dataset, aggregates)

    return dataset_step
