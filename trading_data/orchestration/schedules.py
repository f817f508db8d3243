"""When jobs run by the clock, all in UTC. Reactions to a state are in `sensors`."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

import dagster as dg

from trading_data.calendars.states import MISSING, NO_CALENDAR, by_state, day_states, to_fill
from trading_data.datasets import PRICE
from trading_data.intake.state.files import state_changed
from trading_data.operations.backup.manifest import complete_backups
from trading_data.orchestration.declared import STATE, schedule_status
from trading_data.orchestration.jobs import ARCHIVE_SELECTION, archive_job, backfill_job, backup_job
from trading_data.orchestration.left import total_backlog
from trading_data.orchestration.maintenance_ops import compression_job, restore_drill_job, retention_job
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, LiveTier
from trading_data.orchestration.runs import active_run, materialized_since
from trading_data.orchestration.tags import GAP, TRIGGER, range_tags
from trading_data.printable import counted
from trading_data.settings import without_password
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import floor

GAPS_LOOKED_FOR = timedelta(days=400)
"""How far back the nightly search for gaps goes; a user's own backfill may go further."""
GAP_RUNS = 25
"""Runs requested in one night; the next night finds the rest again."""
STATE_EVERY = timedelta(minutes=15)
"""How often an archive run saves the state of the live tier too: the first run of each quarter of an hour does."""


def _archive_schedule(environment: Environment) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=archive_job,
        cron_schedule=environment.archive_cron,
        execution_timezone="UTC",
        default_status=schedule_status("archive_schedule"),
        description="Archive what was accepted since the last run, if anything was; once a quarter of an hour, save the state of "
        "the live tier too.",
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
        state_is_due = not materialized_since(context.instance, STATE, floor(moment, STATE_EVERY))
        store = intake.open()
        with live.for_sensor() as client, archive.for_sensor() as database:
            backlog = total_backlog(client, store, database)
            if not backlog and not (state_is_due and state_changed(client, store)):
                return dg.SkipReason("nothing waits: every entry and value that was accepted is archived")
        return dg.RunRequest(
            run_key=moment.isoformat(),
            partition_key=f"{moment:%Y-%m-%d}",
            asset_selection=None if state_is_due else _without_state(context),
            # With a selection, Dagster would plan each of its checks, for three events a check.
            asset_check_keys=None if state_is_due else [],
        )

    return archive_schedule


def _without_state(context: dg.ScheduleEvaluationContext) -> Sequence[dg.AssetKey]:
    """The job's assets without the state, which this quarter of an hour has already."""
    return sorted((ARCHIVE_SELECTION - dg.AssetSelection.assets(STATE)).resolve(context.repository_def.asset_graph))


@dg.schedule(
    job=backfill_job,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    default_status=schedule_status("gap_backfill_schedule"),
    description="Fetch missing bars from the vendor: one run for each contiguous range of days, the newest first.",
)
def gap_backfill_schedule(
    context: dg.ScheduleEvaluationContext, archive: ArchiveTier, environment: dg.ResourceParam[Environment]
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run for each range of days with missing bars."""
    moment = context.scheduled_execution_time.astimezone(UTC)
    first = max(environment.settings.start, moment.date() - GAPS_LOOKED_FOR)
    calendar = environment.calendar
    with archive.connect() as database:
        states = day_states(database, PRICE, calendar, first, moment.date())
    missing = int((states["state"] == MISSING).sum())
    if not missing:
        unknown = f"; {NO_CALENDAR}: {calendar.known}" if (states["state"] == NO_CALENDAR).any() else ""
        return dg.SkipReason(f"nothing is missing since {first}: {by_state(states)}{unknown}")
    missing_line = f"{counted(missing, 'day of a symbol is', 'days of symbols are')} missing"
    if not environment.vendor:
        return dg.SkipReason(f"{missing_line} since {first}, and no vendor is named: set {VENDOR}")
    under_way = active_run(context.instance, backfill_job.name, **{TRIGGER: GAP})
    if under_way:
        return dg.SkipReason(f"{missing_line}; run {under_way[:8]} of an earlier night is under way")
    requests = []
    for low, high in reversed(to_fill(states)):
        tags = {**range_tags(low, high), TRIGGER: GAP}
        requests.append(dg.RunRequest(run_key=f"gap-{low}-{high}-{moment.isoformat()}", tags=tags))
    context.log.info(f"{missing_line} since {first}, in {counted(len(requests), 'range')}: {by_state(states)}")
    return requests[:GAP_RUNS]


def _nightly(name: str, job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    """A schedule that requests one run a night; `job` is a job of assets or of ops."""

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
        return _one_run(context, job.name)

    return tick


@dg.schedule(
    job=restore_drill_job,
    cron_schedule="20 5 * * 0",
    execution_timezone="UTC",
    default_status=schedule_status("restore_drill_schedule"),
    description="Restore the newest backup into scratch servers and compare it with its manifest, once a week.",
)
def restore_drill_schedule(
    context: dg.ScheduleEvaluationContext, environment: dg.ResourceParam[Environment]
) -> dg.RunRequest | dg.SkipReason:
    """One run a week, unless one is under way or there is nothing to restore."""
    uri = environment.settings.backup_uri
    if not complete_backups(uri):
        return dg.SkipReason(
            f"there is no complete backup under {without_password(uri)} yet: `backup_schedule` takes them"
        )
    return _one_run(context, restore_drill_job.name)


def _one_run(context: dg.ScheduleEvaluationContext, job: str) -> dg.RunRequest | dg.SkipReason:
    under_way = active_run(context.instance, job)
    if under_way:
        return dg.SkipReason(
            f"run {under_way[:8]} of {job} is queued or under way; the next night takes what it leaves"
        )
    return dg.RunRequest(run_key=context.scheduled_execution_time.astimezone(UTC).isoformat())


_NIGHTLY = [
    _nightly(
        "compression_schedule",
        compression_job,
        "10 3 * * *",
        "Compress the chunks that are old enough, after the day's gaps are filled.",
    ),
    _nightly(
        "retention_schedule",
        retention_job,
        "10 4 * * *",
        "Drop the chunks that are past their retention once every proof holds, and delete other leftovers.",
    ),
    _nightly(
        "backup_schedule",
        backup_job,
        "20 2 * * *",
        "Back up both tiers and the intake, before chunks are compressed and dropped.",
    ),
]


def schedules(environment: Environment) -> list[dg.ScheduleDefinition]:
    """All schedules."""
    return [_archive_schedule(environment), gap_backfill_schedule, *_NIGHTLY, restore_drill_schedule]
