"""Reactions to a state: observe, decide, request a run, or skip with the numbers that explain why.

If a server is away the tick fails, visibly; that is never a reason to skip. Decisions worth a test of their own are in `pressure`.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg

from trading_data.archive.aggregates.refresh import days_to_refresh
from trading_data.datasets import DATASETS, TABLES
from trading_data.datasets.declaration import Dataset
from trading_data.live.connection import read_memory
from trading_data.orchestration.declared import sensor_status
from trading_data.orchestration.health_sensor import health_sensor
from trading_data.orchestration.jobs import archive_job
from trading_data.orchestration.left import PAUSE, backlog_line, ticks_around, total_backlog
from trading_data.orchestration.notifier import alert_sensor
from trading_data.orchestration.partitions import daily, days_tag, few_ranges
from trading_data.orchestration.pressure import PressureState, judge
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, LiveTier
from trading_data.orchestration.runs import active_run, newest_run
from trading_data.orchestration.tags import (
    LATE,
    LATE_DATA,
    MEMORY_PRESSURE,
    PENDING,
    PRESSURE,
    PRIORITY,
    TRIGGER,
    range_tags,
)
from trading_data.printable import counted

_PENDING_SECONDS = 30.0
_AGAIN_SECONDS = 60.0


@dg.sensor(
    job=archive_job,
    minimum_interval_seconds=15,
    default_status=sensor_status("memory_pressure_sensor"),
    description="Archive with no hot window when Redis is above 75 % of its memory limit or less than ten minutes from full.",
)
def memory_pressure_sensor(context: dg.SensorEvaluationContext, live: LiveTier) -> dg.SensorResult:
    """One run of today's partition under memory pressure."""
    now = time.time()
    with live.for_sensor() as client:
        reading = read_memory(client, now)
    under_way = active_run(context.instance, archive_job.name, **{TRIGGER: MEMORY_PRESSURE})
    verdict = judge(PressureState.load(context.cursor), reading, under_way)
    if not verdict.fire:
        return dg.SensorResult(skip_reason=verdict.reason, cursor=verdict.state.dump())
    context.log.info(f"memory pressure: {verdict.reason}")
    request = dg.RunRequest(
        run_key=f"memory-pressure-{now:.3f}",
        partition_key=_today(now),
        tags={TRIGGER: MEMORY_PRESSURE, PRIORITY: "10", PRESSURE: verdict.reason[:240]},
    )
    return dg.SensorResult(run_requests=[request], cursor=verdict.state.dump())


@dg.sensor(
    job=archive_job,
    minimum_interval_seconds=30,
    default_status=sensor_status("pending_intake_sensor"),
    description="Archive what waits when no archive run is due: imports, batches left by an outage, and what was accepted while "
    "nothing ran, such as before a start. Where `archive_schedule` ticks less often than every ten minutes, entries wait for it.",
)
def pending_intake_sensor(
    context: dg.SensorEvaluationContext,
    live: LiveTier,
    archive: ArchiveTier,
    intake: IntakeStore,
    environment: dg.ResourceParam[Environment],
) -> dg.SensorResult | dg.SkipReason:
    """One run of today's partition while batches wait, or entries after a pause; entries never before a slow schedule's tick."""
    now = time.time()
    store = intake.open()
    files = [file for name in TABLES for file in store.pending(name)]
    newest = newest_run(context.instance, archive_job.name)
    if files:
        waited = now - min(file.turn for file in files) / 1e9
        batches = counted(len(files), "batch waits", "batches wait")
        reason = f"{batches} in the intake, the oldest for {waited:.0f} s"
    elif newest is not None and now - newest < PAUSE.total_seconds():
        return dg.SkipReason(
            f"no batch waits in the intake; journals are not examined for {PAUSE.total_seconds() / 60:.0f} min after an archive "
            f"run, and the last one was requested {now - newest:.0f} s ago: entries are taken by `archive_schedule`"
        )
    elif slow := _slow_tick(environment.archive_cron, now):
        return dg.SkipReason(f"no batch waits in the intake; entries wait for `archive_schedule`, {slow}")
    else:
        with live.for_sensor() as client, archive.for_sensor() as database:
            backlog = total_backlog(client, store, database)
        if not backlog:
            return dg.SkipReason("no batch waits in the intake, and nothing that was accepted")
        waited = now
        reason = f"{backlog_line(backlog)}, and no archive run has begun for {PAUSE.total_seconds() / 60:.0f} min"
    under_way = active_run(context.instance, archive_job.name)
    if under_way:
        return dg.SkipReason(f"{reason}; archive run {under_way[:8]} is queued or under way")
    last = float(context.cursor or 0)
    if waited < _PENDING_SECONDS or now - last < _AGAIN_SECONDS:
        return dg.SkipReason(
            f"{reason}; a run was requested {now - last:.0f} s ago" if last else f"{reason}; not long enough yet"
        )
    request = dg.RunRequest(run_key=f"pending-intake-{now:.3f}", partition_key=_today(now), tags={TRIGGER: PENDING})
    return dg.SensorResult(run_requests=[request], cursor=str(now))


@dg.sensor(
    asset_selection=dg.AssetSelection.groups("aggregates"),
    minimum_interval_seconds=15,
    default_status=sensor_status("late_data_sensor"),
    description="Refresh the aggregates of days before today whose rows a load has changed: exactly those days, finest aggregate "
    "first.",
)
def late_data_sensor(
    context: dg.SensorEvaluationContext, archive: ArchiveTier, environment: dg.ResourceParam[Environment]
) -> dg.SensorResult | dg.SkipReason:
    """One run for each dataset and range of late days; of many ranges, those a few days apart are one."""
    now = time.time()
    with archive.for_sensor() as database:
        stale = days_to_refresh(database)
    requested: dict[str, float] = {
        key: at for key, at in json.loads(context.cursor or "{}").items() if now - at < _AGAIN_SECONDS
    }
    today = _today(now)
    shown = date.fromisoformat(daily(environment).get_first_partition_key() or today)
    requests, held = [], []
    for key, dataset, partition, days in _late_runs(stale, shown, today):
        under_way = active_run(context.instance, None, **{LATE: key})
        if under_way or key in requested:
            held.append(f"{key} ({f'run {under_way[:8]} under way' if under_way else 'requested just now'})")
            continue
        requested[key] = now
        requests.append(
            dg.RunRequest(
                run_key=f"late-{key}-{now:.3f}",
                partition_key=partition,
                asset_selection=[dg.AssetKey(aggregate.name) for aggregate in dataset.aggregates],
                asset_check_keys=[],  # the step reports their verdicts
                tags={**days, LATE: key, TRIGGER: LATE_DATA},
            )
        )
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(requested))
    return dg.SkipReason(f"waiting for {'; '.join(held[:5])}" if held else "no day but today waits for its aggregates")


def _late_runs(
    stale: dict[str, list[date]], shown: date, today: str
) -> Iterator[tuple[str, Dataset, str | None, dict[str, str]]]:
    """A key, the dataset, the partition or None, and the tags with the days of each run; `shown` is the first partition.

    Days before the first partition are no partitions: one run of today's partition has them all in its tag.
    """
    for name, dataset in DATASETS.items():
        late = {day for aggregate in dataset.aggregates for day in stale.get(aggregate.name, [])} - {
            date.fromisoformat(today)
        }
        for first, last in few_ranges(day for day in late if day >= shown):
            yield f"{name}_{first}_{last}", dataset, None, range_tags(first, last)
        if older := [day for day in late if day < shown]:
            yield f"{name}_before_{shown}", dataset, today, days_tag(older)


def _slow_tick(cron: str, now: float) -> str:
    """When the archive schedule ticks next, if it ticks less often than this sensor would archive; else nothing."""
    last, following = ticks_around(cron, datetime.fromtimestamp(now, UTC))
    return f"which ticks next at {following:%Y-%m-%d %H:%M}Z" if following - last > PAUSE else ""


def _today(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def sensors(environment: Environment) -> list[dg.SensorDefinition]:
    """All sensors."""
    return [
        memory_pressure_sensor,
        pending_intake_sensor,
        late_data_sensor,
        health_sensor(environment),
        alert_sensor,
    ]
