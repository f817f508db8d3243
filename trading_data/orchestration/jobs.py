"""Named jobs: a selection, tags, and how its steps run.

Belongs here: jobs. Does not: assets, and when jobs run (`schedules`, `sensors`).
"""

import dagster as dg

WORKLOAD = "trading_data/workload"

archive_job = dg.define_asset_job(
    "archive_job",
    selection=dg.AssetSelection.groups("live", "archive", "aggregates"),
    executor_def=dg.in_process_executor,
    tags={WORKLOAD: "archive"},
    description="Drain the journals, load what waits in the intake, trim, refresh the aggregates of the day.",
)

jobs = [archive_job]
