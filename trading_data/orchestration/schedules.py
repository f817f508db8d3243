"""When jobs run by the clock, all in UTC.

Belongs here: schedules. Does not: reactions to a state (`sensors`).
"""

import os
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

import dagster as dg

from trading_data.calendars import TradingCalendar
from trading_data.calendars.gap_plot import by_state
from trading_data.calendars.states import MISSING, NO_CALENDAR, day_states, to_fill
from trading_data.datasets import PRICE
from trading_data.intake.state.files import state_changed
from trading_data.operations.backup.manifest import complete_backups
from trading_data.orchestration.declared import STATE, schedule_status
from trading_data.orchestration.jobs import ARCHIVE_SELECTION, archive_job, backfill_job, backup_job
from trading_data.orchestration.left import APART, all_left
from trading_data.orchestration.maintenance_ops import compression_job, restore_drill_job, retention_job
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier
from trading_data.orchestration.runs import active_run, materialized_since, newest_run
from trading_data.orchestration.tags import GAP, PENDING, TRIGGER, range_tags
from trading_data.printable import counted
from trading_data.settings import ARCHIVE_CRON, Settings, without_password
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import floor

GAPS_LOOKED_FOR = timedelta(days=400)
"""How far back gaps are looked for every night; a user's own backfill may go further."""
GAP_RUNS = 25
"""Runs asked for in one night; the rest is found again in the next."""
STATE_EVERY = timedelta(minutes=15)
"""How often an archive run takes the state of the live tier too: in its first run of each quarter of an hour."""


@dg.schedule(
    job=archive_job,
    cron_schedule=os.environ.get(ARCHIVE_CRON) or "*/5 * * * *",
    execution_timezone="UTC",
    default_status=schedule_status("archive_schedule"),
    description="Archive what was accepted since the last time, if there is anything; every quarter of an hour with the "
    "live tier's state.",
)
def archive_schedule(
    context: dg.ScheduleEvaluationContext, live: LiveTier, archive: ArchiveTier, intake: IntakeStore
) -> dg.RunRequest | dg.SkipReason:
    """One run of today's partition, unless one is under way or there is nothing to do."""
    under_way = active_run(context.instance, archive_job.name)
    if under_way:
        return dg.SkipReason(
            f"archive run {under_way[:8]} is queued or under way; the next tick takes what comes meanwhile"
        )
    moment = context.scheduled_execution_time.astimezone(UTC)
    own_pace = os.environ.get(ARCHIVE_CRON)
    asked = None if own_pace else newest_run(context.instance, archive_job.name, **{TRIGGER: PENDING})
    if asked is not None and 0 <= moment.timestamp() - asked < APART.total_seconds():
        return dg.SkipReason(
            f"an archive run was asked for {moment.timestamp() - asked:.0f} s ago, and one in five minutes is enough"
        )
    state_is_due = not materialized_since(context.instance, STATE, floor(moment, STATE_EVERY))
    store = intake.open()
    with live.for_sensor() as client, archive.for_sensor() as database:
        left = all_left(client, store, database)
        if not left and not (state_is_due and state_changed(client, store)):
            return dg.SkipReason("nothing waits: every entry and value that was accepted is archived")
    return dg.RunRequest(
        run_key=moment.isoformat(),
        partition_key=f"{moment:%Y-%m-%d}",
        asset_selection=None if state_is_due else _without_state(context),
        asset_check_keys=None
        if state_is_due
        else [],  # with a selection Dagster would plan every check of it, for three events each
    )


def _without_state(context: dg.ScheduleEvaluationContext) -> Sequence[dg.AssetKey]:
    """All that the job materializes but the state: this quarter of an hour has one."""
    return sorted((ARCHIVE_SELECTION - dg.AssetSelection.assets(STATE)).resolve(context.repository_def.asset_graph))


@dg.schedule(
    job=backfill_job,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    default_status=schedule_status("gap_backfill_schedule"),
    description="Ask the vendor for what is missing: one run a contiguous range of days, the newest ranges first.",
)
def gap_backfill_schedule(
    context: dg.ScheduleEvaluationContext, archive: ArchiveTier
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run a range of days with missing bars."""
    moment = context.scheduled_execution_time.astimezone(UTC)
    settings = Settings.from_env()
    first = max(settings.start, moment.date() - GAPS_LOOKED_FOR)
    with archive.connect() as database:
        calendar = TradingCalendar.configured(settings.calendar)
        states = day_states(database, PRICE, calendar, first, moment.date())
    missing = int((states["state"] == MISSING).sum())
    if not missing:
        unknown = f"; {NO_CALENDAR}: {calendar.known}" if (states["state"] == NO_CALENDAR).any() else ""
        return dg.SkipReason(f"nothing is missing since {first}: {by_state(states)}{unknown}")
    if not os.environ.get(VENDOR):
        return dg.SkipReason(
            f"{counted(missing, 'day of a symbol is', 'days of symbols are')} missing since {first}, and {VENDOR} names "
            f"nobody to ask"
        )
    under_way = active_run(context.instance, backfill_job.name, **{TRIGGER: GAP})
    if under_way:
        return dg.SkipReason(
            f"{counted(missing, 'day of a symbol is', 'days of symbols are')} missing; run {under_way[:8]} of an earlier "
            f"night is under way"
        )
    requests = []
    for low, high in reversed(to_fill(states)):
        tags = {**range_tags(low, high), TRIGGER: GAP}
        requests.append(dg.RunRequest(run_key=f"gap-{low}-{high}-{moment.isoformat()}", tags=tags))
    context.log.info(
        f"{counted(missing, 'day of a symbol is', 'days of symbols are')} missing since {first}, in "
        f"{counted(len(requests), 'range')}: {by_state(states)}"
    )
    return requests[:GAP_RUNS]


def _nightly(name: str, job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    """A schedule that asks for one run a night; `job` is one of `jobs`, of whatever kind."""

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=schedule_status(name),
        description=description,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """One run a night, unless one is under way."""
        return _once(context, job.name)

    return tick


compression_schedule = _nightly(
    "compression_schedule",
    compression_job,
    "10 3 * * *",
    "Compress the chunks that have reached their age, after the day's gaps were filled.",
)


retention_schedule = _nightly(
    "retention_schedule",
    retention_job,
    "10 4 * * *",
    "Drop the chunks that have had their time and for which everything is proven; clear what is left over.",
)


backup_schedule = _nightly(
    "backup_schedule",
    backup_job,
    "20 2 * * *",
    "Back up both tiers and the intake, before chunks are compressed and dropped.",
)


@dg.schedule(
    job=restore_drill_job,
    cron_schedule="20 5 * * 0",
    execution_timezone="UTC",
    default_status=schedule_status("restore_drill_schedule"),
    description="Restore the newest backup into scratch servers, and compare it with its manifest.",
)
def restore_drill_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run a week, unless one is under way or there is nothing to restore."""
    uri = Settings.from_env().backup_uri
    if not complete_backups(uri):
        return dg.SkipReason(
            f"there is no complete backup under {without_password(uri)} yet: `backup_schedule` takes them"
        )
    return _once(context, restore_drill_job.name)


def _once(context: dg.ScheduleEvaluationContext, job: str) -> dg.RunRequest | dg.SkipReason:
    under_way = active_run(context.instance, job)
    if under_way:
        return dg.SkipReason(
            f"run {under_way[:8]} of {job} is queued or under way; the next night takes what it leaves"
        )
    return dg.RunRequest(run_key=context.scheduled_execution_time.astimezone(UTC).isoformat())


schedules: list[dg.ScheduleDefinition] = [
    archive_schedule,
    gap_backfill_schedule,
    compression_schedule,
    retention_schedule,
    backup_schedule,
    restore_drill_schedule,
]
