"""Named jobs: a selection, tags, and how its steps run.

Belongs here: jobs. Does not: assets, and when jobs run (`schedules`, `sensors`).
"""

from typing import Any

import dagster as dg

from trading_data.datasets import DATASETS, PRICE
from trading_data.orchestration.assets.state import STATE
from trading_data.orchestration.maintenance_ops import compression_job, restore_drill_job, retention_job
from trading_data.orchestration.tags import AS_OWNER, MORE_MEMORY

WORKLOAD = "trading_data/workload"

_PRICE = [PRICE.table, *(aggregate.name for aggregate in PRICE.aggregates)]
ARCHIVE_SELECTION = dg.AssetSelection.assets(STATE, *(dataset.table for dataset in DATASETS.values())).without_checks()
"""The tables, whose step drains before it loads and refreshes after it; each asset more would cost a run two events more."""

archive_job = dg.define_asset_job(
    "archive_job",
    selection=ARCHIVE_SELECTION,
    executor_def=dg.in_process_executor,
    tags={WORKLOAD: "archive"},
    description="Drain the journals, load what waits in the intake, trim, refresh the aggregates of the day; "
    "take the state of the live tier.",
)

backfill_job = dg.define_asset_job(
    "backfill_job",
    selection=dg.AssetSelection.assets("price_history", *_PRICE).without_checks(),
    executor_def=dg.in_process_executor,
    tags={WORKLOAD: "backfill", **MORE_MEMORY},
    description="Ask the vendor for the days' missing bars, load them, refresh the aggregates of these days.",
)

health_job = dg.define_asset_job(
    "health_job",
    selection=dg.AssetSelection.assets("redis_health", "timescale_health"),
    executor_def=dg.in_process_executor,
    tags={WORKLOAD: "health", "dagster/max_runtime": "300"},
    description="Measure both tiers, judge them by the declared thresholds, keep the figures.",
)

backup_job = dg.define_asset_job(
    "backup_job",
    selection=dg.AssetSelection.assets("redis_backup", "timescale_backup"),
    executor_def=dg.in_process_executor,
    tags={WORKLOAD: "backup", "dagster/max_runtime": "14400", **AS_OWNER},
    description="Back up the live tier, the intake and the archive, in this order; remove what the scheme does not keep.",
)

jobs: list[Any] = [
    archive_job,
    backfill_job,
    health_job,
    compression_job,
    retention_job,
    backup_job,
    restore_drill_job,
]
