"""Named jobs on assets: a selection, tags, and a description. Jobs of ops are in `maintenance_ops`."""

from typing import Any

import dagster as dg

from trading_data.datasets import DATASETS, PRICE
from trading_data.orchestration.declared import (
    ARCHIVE_JOB,
    BACKFILL_JOB,
    BACKUP_JOB,
    HEALTH_CHECKS,
    HEALTH_JOB,
    HISTORY,
    REDIS_BACKUP,
    STATE,
    TIMESCALE_BACKUP,
)
from trading_data.orchestration.maintenance_ops import compression_job, restore_drill_job, retention_job
from trading_data.orchestration.tags import AS_OWNER, MAX_RUNTIME, MORE_MEMORY, WORKLOAD

_PRICE = [PRICE.table, *(aggregate.name for aggregate in PRICE.aggregates)]
ARCHIVE_SELECTION = dg.AssetSelection.assets(STATE, *(dataset.table for dataset in DATASETS.values())).without_checks()
"""Only the tables: their step drains before it loads and refreshes after it. Each further asset costs a run two events."""

archive_job = dg.define_asset_job(
    ARCHIVE_JOB,
    selection=ARCHIVE_SELECTION,
    tags={WORKLOAD: "archive"},
    description="Drain the journals, load the batches in the intake, trim the journals, refresh the day's aggregates, and "
    "save the state of the live tier.",
)

backfill_job = dg.define_asset_job(
    BACKFILL_JOB,
    selection=dg.AssetSelection.assets(HISTORY, *_PRICE).without_checks(),
    tags={WORKLOAD: "backfill", **MORE_MEMORY},
    description="Fetch the days' missing bars from the vendor, load them, and refresh the aggregates of these days.",
)

health_job = dg.define_asset_job(
    HEALTH_JOB,
    selection=dg.AssetSelection.assets(*HEALTH_CHECKS).without_checks(),
    tags={WORKLOAD: "health", MAX_RUNTIME: "300"},
    description="Measure both tiers, compare the figures with the declared thresholds, and record them.",
)

backup_job = dg.define_asset_job(
    BACKUP_JOB,
    selection=dg.AssetSelection.assets(REDIS_BACKUP, TIMESCALE_BACKUP),
    tags={WORKLOAD: "backup", MAX_RUNTIME: "14400", **AS_OWNER},
    description="Back up the live tier, the intake and the archive, in this order; delete backups that the retention scheme no "
    "longer keeps.",
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
