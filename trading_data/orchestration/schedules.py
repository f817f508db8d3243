"""When jobs run by the clock, all in UTC.

Belongs here: schedules. Does not: reactions to a state (`sensors`).
"""

import os
from datetime import UTC

import dagster as dg

from trading_data.orchestration.jobs import archive_job
from trading_data.orchestration.runs import active_run

ARCHIVE_CRON = "TRADING_DATA_ARCHIVE_CRON"
"""Set by `trading-data up`, which archives every minute so that one sees something."""


@dg.schedule(
    job=archive_job,
    cron_schedule=os.environ.get(ARCHIVE_CRON) or "*/5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Archive what was accepted since the last time, into today's partition.",
)
def archive_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run of today's partition, unless one is under way."""
    under_way = active_run(context.instance, archive_job.name)
    if under_way:
        return dg.SkipReason(
            f"archive run {under_way[:8]} is queued or under way; the next tick takes what comes meanwhile"
        )
    moment = context.scheduled_execution_time.astimezone(UTC)
    return dg.RunRequest(run_key=moment.isoformat(), partition_key=f"{moment:%Y-%m-%d}")


schedules: list[dg.ScheduleDefinition] = [archive_schedule]
