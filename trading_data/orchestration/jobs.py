"""Named jobs: a selection, tags, and how its steps run.

Belongs here: jobs. Does not: assets, and when jobs run (`schedules`, `sensors`).
"""

from typing import Any

import dagster as dg

from trading_data.datasets import PRICE
from trading_data.orchestration.ops import compression_job, retention_job

WORKLOAD = "trading_data/workload"

_PRICE = [PRICE.table, *(one.name for one in PRICE.aggregates)]
ARCHIVE_SELECTION = dg.AssetSelection.groups("live", "archive", "aggregates")

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
    selection=dg.AssetSelection.assets("price_history", *_PRICE),
    executor_def=dg.in_process_executor,
    tags={WORKLOAD: "backfill"},
    description="Ask the vendor for the days' missing bars, load them, refresh the aggregates of these days.",
)

jobs: list[Any] = [archive_job, backfill_job, compression_job, retention_job]
