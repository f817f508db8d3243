"""Group `live`: from the journals into the intake, one asset a dataset.

Belongs here: the assets. Does not: draining (`intake.snapshot`).
"""

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_ranges
from trading_data.archive.trim import trim_drained
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.errors import ArchiveTierError
from trading_data.intake.accounted import Ranges
from trading_data.intake.sample import sample
from trading_data.intake.snapshot import snapshot
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import find_journals
from trading_data.live.memory import read_memory
from trading_data.live.strange import WrongType, keys_of, wrong_types
from trading_data.orchestration.assets.sources import OWNER, journal_key, latest_key
from trading_data.orchestration.metadata import SHOWN, snapshot_metadata, strange_metadata
from trading_data.orchestration.partitions import daily
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier, earliest, one_clear_line
from trading_data.times import now

EMERGENCY_RATIO = 0.9
"""Share of the memory limit above which, and only while the archive is away, journals are trimmed up to the intake."""


def snapshot_assets() -> list[dg.AssetsDefinition]:
    """One snapshot asset a dataset."""
    return [_snapshot_asset(dataset) for dataset in DATASETS.values()]


def _snapshot_asset(dataset: Dataset) -> dg.AssetsDefinition:
    @dg.asset(
        name=dataset.snapshot,
        group_name="live",
        deps=[journal_key(dataset), *([latest_key(dataset)] if dataset.latest else [])],
        partitions_def=daily(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"drain_{dataset.name}",
        kinds={"redis", "parquet"},
        owners=[OWNER],
        check_specs=[
            dg.AssetCheckSpec(
                "keys_as_declared",
                asset=dataset.snapshot,
                description="No key with a name of the journals or latest values is of another type than theirs.",
            )
        ],
        description=f"Drains `{dataset.journal}` into the intake, durably, and only then notes how far. "
        f"Next: `{dataset.table}` loads what is there.",
    )
    def snapshot_asset(
        context: dg.AssetExecutionContext, live: LiveTier, archive: ArchiveTier, intake: IntakeStore
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with one_clear_line(), live.for_archiver() as client, archive.connect() as database:
            archived = _archived(context, client, database, dataset)
            store, first = intake.open(), earliest()
            drained = list(
                snapshot(client, store, dataset, earliest=first, archived=archived, run_id=context.run.run_id)
            )
            sampled = sample(client, store, dataset, earliest=first, run_id=context.run.run_id)
            strange = wrong_types(client, keys_of(dataset))
            figures = snapshot_metadata([*drained, *([sampled] if sampled else [])]) | strange_metadata(strange)
            if archived is None:
                figures["trimmed to the intake"] = _emergency(context, client, store, dataset)
        for key in context.partition_keys:
            context.add_asset_metadata(figures, partition_key=key)
        checked = _keys_as_declared(strange)
        if not checked.passed:
            context.log.warning(checked.description)
        return dg.MaterializeResult(check_results=[checked])

    return snapshot_asset


def _keys_as_declared(strange: list[WrongType]) -> dg.AssetCheckResult:
    said = "; ".join(one.said for one in strange[:SHOWN]) + ("; …" if len(strange) > SHOWN else "")
    return dg.AssetCheckResult(
        check_name="keys_as_declared",
        passed=not strange,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(strange)} keys have names of ours and are not archived: {said}. Somebody else writes them: find "
        "out who (`trading-data redis-cli MONITOR`, `ACL LOG`), then RENAME the keys or DEL them"
        if strange
        else "Every key with a name of ours is of its type.",
        metadata={"keys": len(strange)},
    )


def _archived(context: dg.AssetExecutionContext, client: Client, database: Archive, dataset: Dataset) -> Ranges | None:
    """What the archive holds of the journals; None while it is away, for draining goes on without it."""
    try:
        return archived_ranges(database, dataset, find_journals(client, dataset))
    except ArchiveTierError as error:
        context.log.warning(f"draining without the archive's ranges: {error}")
        return None


def _emergency(context: dg.AssetExecutionContext, client: Client, intake: Intake, dataset: Dataset) -> int:
    """The archive is away. If memory is critical too, trim what is durable in the intake, and say so."""
    memory = read_memory(client, now().timestamp())
    if memory.ratio < EMERGENCY_RATIO:
        return 0
    trimmed = trim_drained(client, intake, dataset)
    context.log.warning(
        f"emergency: memory at {memory.ratio:.0%} of its limit and the archive away, so {trimmed.removed} entries that are "
        "durable in the intake left their journals before they were archived"
    )
    return trimmed.removed
