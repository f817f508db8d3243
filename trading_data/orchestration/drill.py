"""The weekly restore drill, as a job of one op: a drill that finds a difference is a failed run.

Belongs here: the op and its job. Does not: the drill (`operations.backup.drill`), and when (`schedules`).
"""

import dagster as dg

from trading_data.operations.backup.drill import restore_drill
from trading_data.operations.backup.listing import chosen
from trading_data.orchestration.resources import ArchiveTier, one_clear_line
from trading_data.orchestration.tags import AS_OWNER
from trading_data.settings import Settings


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Restore the newest backup into scratch servers, compare every count, sum and hash with its manifest, and note "
    "recovery point and recovery time beside it.",
)
def drill_newest_backup(context: dg.OpExecutionContext, archive: ArchiveTier) -> None:
    """One drill."""
    settings = Settings.from_env()
    with one_clear_line(), archive.connect_as_owner() as database:
        backup = chosen(settings.backup_uri, None)
        done = restore_drill(backup, settings.drill_url or database.url, context.log.info)
    point, spent = done.recovery_point.total_seconds(), done.recovery_time.total_seconds()
    context.add_output_metadata(
        {
            "backup": backup.name,
            "restored and equal": done.ok,
            "recovery point seconds": round(point, 1),
            "recovery time seconds": round(spent, 3),
            "differences": "\n".join(done.differences) or "none",
        }
    )
    if not done.ok:
        raise dg.Failure(
            description=f"{backup.name} cannot be relied on, its restore drill found: {'; '.join(done.differences[:5])}. Take "
            "another backup and drill that: `trading-data backup`",
            allow_retries=False,
        )


@dg.job(
    name="restore_drill_job",
    executor_def=dg.in_process_executor,
    tags={"trading_data/workload": "drill", "dagster/max_runtime": "14400", **AS_OWNER},
    description="Restore the newest backup into scratch servers and compare it with its manifest.",
)
def restore_drill_job() -> None:
    """One op."""
    drill_newest_backup()
