"""Group `archive`: from the intake into the hypertables, one asset a dataset; a partition is a chunk.

Belongs here: the assets and their checks' results. Does not: loading (`archive.load`) and trimming (`archive.trim`).
"""

from datetime import date, timedelta

import dagster as dg

from trading_data.archive.accounts import balance_after_load
from trading_data.archive.database import Archive
from trading_data.archive.ledger import quarantine_waiting
from trading_data.archive.load import load_pending
from trading_data.archive.loaded import COUNTS, Loaded
from trading_data.archive.losses import confirmed_lost
from trading_data.archive.lost import Lost, acknowledge_command
from trading_data.archive.quarantine import retry_what_is_taken_now
from trading_data.archive.trim import trim_archived
from trading_data.datasets import DATASETS, HISTORY
from trading_data.datasets.declaration import Dataset
from trading_data.intake.store import Intake
from trading_data.orchestration.assets.sources import OWNER
from trading_data.orchestration.day_metadata import day_metadata
from trading_data.orchestration.drift import check_drift, check_spec
from trading_data.orchestration.health_checks import fresh_result, fresh_spec
from trading_data.orchestration.metadata import load_metadata, table_metadata
from trading_data.orchestration.partitions import daily
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier, earliest, one_clear_line
from trading_data.times import now

TRIGGER = "trading_data/trigger"
MEMORY_PRESSURE = "memory_pressure"


def archive_assets() -> list[dg.AssetsDefinition]:
    """One archive asset a dataset."""
    return [_archive_asset(dataset) for dataset in DATASETS.values()]


def _archive_asset(dataset: Dataset) -> dg.AssetsDefinition:
    @dg.asset(
        name=dataset.table,
        group_name="archive",
        deps=[dataset.snapshot, *([f"{dataset.name}_history"] if dataset.sources else [])],
        partitions_def=daily(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"load_{dataset.name}",
        kinds={"timescaledb", "postgres"},
        owners=[OWNER],
        metadata=table_metadata(dataset),
        check_specs=[
            dg.AssetCheckSpec("nothing_quarantined", asset=dataset.table, description="No rejected entry waits."),
            dg.AssetCheckSpec(
                "nothing_missing",
                asset=dataset.table,
                description="Every entry of the journals is archived, in the intake, in its journal, or acknowledged as lost.",
            ),
            dg.AssetCheckSpec("accounts_balance", asset=dataset.table, description="Ledger, rows and books agree."),
            check_spec(dataset),
            fresh_spec(dataset),
        ],
        description=f"The hypertable `{dataset.table}`: {dataset.title}, one UTC day a chunk. Loads the batches that wait in "
        f"the intake, each in one transaction with its ledger row and archived ranges, then trims the journals. "
        f"Comes from `{dataset.snapshot}`"
        + (f" and `{dataset.name}_history`" if dataset.sources else "")
        + "".join(f"; feeds `{one.name}`" for one in dataset.aggregates[:1])
        + ".",
    )
    def archive_asset(
        context: dg.AssetExecutionContext, live: LiveTier, archive: ArchiveTier, intake: IntakeStore
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        pressed = context.run.tags.get(TRIGGER) == MEMORY_PRESSURE
        hot_window = timedelta(0) if pressed else dataset.hot_window
        own = [date.fromisoformat(key) for key in context.partition_keys]
        with one_clear_line(), archive.connect() as database, live.for_archiver() as client:
            loaded, removed = [], 0
            retry_what_is_taken_now(database, intake.open(), dataset, earliest=earliest())
            for one in load_pending(database, intake.open(), dataset, run_id=context.run.run_id):
                loaded.append(one)
                removed += trim_archived(client, database, dataset, hot_window=hot_window).removed
            if not loaded:  # what has left the hot window since the last load
                removed = trim_archived(client, database, dataset, hot_window=hot_window).removed
            of_days = _load_history(database, intake.open(), dataset, context.run.run_id)
            others = sorted({day for one in loaded for day in one.touched} - set(own))
            days = day_metadata(database, dataset, [*own, *others])
            checks = [
                _nothing_quarantined(database, dataset),
                _nothing_missing(dataset, confirmed_lost(client, database, intake.open(), dataset)),
                _accounts_balance(database, dataset, [*own, *others], loaded),
                _declared_is_actual(check_drift(database, context.instance, dataset)),
                fresh_result(database, dataset, now()),
            ]
        for day in others:
            figures = days[day] | load_metadata(loaded, day)
            context.log_event(dg.AssetMaterialization(context.asset_key, partition=str(day), metadata=figures))
        figures = load_metadata(loaded) | {"trimmed": removed} | of_days
        for day in own:
            context.add_asset_metadata(days[day] | figures, partition_key=str(day))
        return dg.MaterializeResult(check_results=checks)

    return archive_asset


def _load_history(database: Archive, intake: Intake, dataset: Dataset, run_id: str) -> dict[str, int]:
    """Load the rows that stand for days of a dataset, as a file brought them; the figures of it, if there were any.

    They are no partitions of the asset: a file has thousands of days, and none of them is a day of this table.
    """
    history = HISTORY.get(dataset.name)
    loaded = list(load_pending(database, intake, history, run_id=run_id)) if history else []
    return {
        f"{history.title}: {name}": sum(getattr(one, name) for one in loaded) for name in COUNTS if history and loaded
    }


def _accounts_balance(
    database: Archive, dataset: Dataset, days: list[date], loaded: list[Loaded]
) -> dg.AssetCheckResult:
    finding = balance_after_load(database, dataset, days, [one.batch_id for one in loaded])
    return dg.AssetCheckResult(
        check_name="accounts_balance",
        passed=finding.ok,
        severity=dg.AssetCheckSeverity.ERROR,
        description=finding.said if finding.ok else f"{finding.said}. Run `trading-data verify`",
    )


def _declared_is_actual(found: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=found.check_name,
        passed=found.passed,
        severity=found.severity,
        description=found.description,
        metadata=found.metadata,
    )


def _nothing_quarantined(database: Archive, dataset: Dataset) -> dg.AssetCheckResult:
    kinds = quarantine_waiting(database, dataset)
    total = sum(count for count, _ in kinds.values())
    said = ", ".join(f"{count} {kind} since {since:%Y-%m-%d %H:%M}Z" for kind, (count, since) in kinds.items())
    return dg.AssetCheckResult(
        check_name="nothing_quarantined",
        passed=total == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{total} entries wait in quarantine: {said}. Run `trading-data quarantine list {dataset.name}`"
        if total
        else "No entry waits in quarantine.",
        metadata={"waiting": total, **{kind: count for kind, (count, _) in kinds.items()}},
    )


def _nothing_missing(dataset: Dataset, lost: Lost) -> dg.AssetCheckResult:
    said = ". ".join(said for _, said in lost.said())
    return dg.AssetCheckResult(
        check_name="nothing_missing",
        passed=not lost,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{said}. It stays red until they are back, or until you run `{acknowledge_command(dataset)}`"
        if lost
        else "Every entry that was added to the journals is archived, in the intake or in its journal, or is acknowledged.",
        metadata={"missing": lost.least, "journals": len(lost.journals)},
    )
