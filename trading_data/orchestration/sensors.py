"""Reactions to a state: observe, decide, ask for a run or say with numbers why not.

A server that is away makes a tick fail, visibly; it is never a reason to skip.

Belongs here: sensors. Does not: decisions worth a test of their own (`pressure`).
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg

from trading_data.archive.aggregates.refresh import waiting
from trading_data.datasets import DATASETS, TABLES
from trading_data.live.connection import read_memory
from trading_data.orchestration.declared import sensor_status
from trading_data.orchestration.health_sensor import health_sensor
from trading_data.orchestration.jobs import archive_job
from trading_data.orchestration.left import PAUSE, all_left, left_line
from trading_data.orchestration.notifier import alert_sensor
from trading_data.orchestration.partitions import daily, days_tag, few_ranges
from trading_data.orchestration.pressure import PressureState, judge
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier
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
    description="Archive with no hot window when Redis is above 75 % of its limit or under ten minutes from full.",
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
    description="Archive what waits when no archive run is about to: imports, batches left by an outage, and what was accepted "
    "while nothing ran, such as before a start.",
)
def pending_intake_sensor(
    context: dg.SensorEvaluationContext, live: LiveTier, archive: ArchiveTier, intake: IntakeStore
) -> dg.SensorResult | dg.SkipReason:
    """One run of today's partition while batches wait, or entries after a pause."""
    now = time.time()
    store = intake.open()
    files = [file for name in TABLES for file in store.pending(name)]
    newest = newest_run(context.instance, archive_job.name)
    if files:
        age = now - min(file.turn for file in files) / 1e9
        said, waits = (
            f"{counted(len(files), 'batch waits', 'batches wait')} in the intake, the oldest for {age:.0f} s",
            age,
        )
    elif newest is not None and now - newest < PAUSE.total_seconds():
        return dg.SkipReason("no batch waits in the intake")
    else:
        with live.for_sensor() as client, archive.for_sensor() as database:
            left = all_left(client, store, database)
        if not left:
            return dg.SkipReason("no batch waits in the intake, and nothing that was accepted")
        said, waits = f"{left_line(left)}, and no archive run has begun for {PAUSE.total_seconds() / 60:.0f} min", now
    under_way = active_run(context.instance, archive_job.name)
    if under_way:
        return dg.SkipReason(f"{said}; archive run {under_way[:8]} is queued or under way")
    last = float(context.cursor or 0)
    if waits < _PENDING_SECONDS or now - last < _AGAIN_SECONDS:
        return dg.SkipReason(
            f"{said}; asked for a run {now - last:.0f} s ago" if last else f"{said}; not long enough yet"
        )
    request = dg.RunRequest(run_key=f"pending-intake-{now:.3f}", partition_key=_today(now), tags={TRIGGER: PENDING})
    return dg.SensorResult(run_requests=[request], cursor=str(now))


@dg.sensor(
    asset_selection=dg.AssetSelection.groups("aggregates"),
    minimum_interval_seconds=15,
    default_status=sensor_status("late_data_sensor"),
    description="Refresh the aggregates of days other than today that loads have changed: exactly those, finest first.",
)
def late_data_sensor(context: dg.SensorEvaluationContext, archive: ArchiveTier) -> dg.SensorResult | dg.SkipReason:
    """One run a dataset and range of late days; of many ranges, those a few days apart are one."""
    now = time.time()
    with archive.for_sensor() as database:
        stale = waiting(database)
    asked: dict[str, float] = {
        key: at for key, at in json.loads(context.cursor or "{}").items() if now - at < _AGAIN_SECONDS
    }
    requests, held = [], []
    shown = date.fromisoformat(daily().get_first_partition_key() or _today(now))
    for key, dataset_name, first, last in _late_ranges(stale, shown, date.fromisoformat(_today(now))):
        under_way = active_run(context.instance, None, **{LATE: key})
        if under_way or key in asked:
            held.append(f"{key} ({'run ' + under_way[:8] + ' under way' if under_way else 'asked for just now'})")
            continue
        asked[key] = now
        requests.append(
            dg.RunRequest(
                run_key=f"late-{key}-{now:.3f}",
                asset_selection=[dg.AssetKey(aggregate.name) for aggregate in DATASETS[dataset_name].aggregates],
                asset_check_keys=[],  # the step tells their verdicts
                tags={**range_tags(first, last), LATE: key, TRIGGER: LATE_DATA},
            )
        )
    for key, dataset_name, days in _older_days(stale, shown):
        if active_run(context.instance, None, **{LATE: key}) or key in asked:
            held.append(key)
            continue
        asked[key] = now
        requests.append(
            dg.RunRequest(
                run_key=f"late-{key}-{now:.3f}",
                partition_key=_today(now),
                asset_selection=[dg.AssetKey(aggregate.name) for aggregate in DATASETS[dataset_name].aggregates],
                asset_check_keys=[],  # the step tells their verdicts
                tags={**days_tag(days), LATE: key, TRIGGER: LATE_DATA},
            )
        )
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(asked))
    return dg.SkipReason(f"waiting for {'; '.join(held[:5])}" if held else "no day but today waits for its aggregates")


def _older_days(stale: dict[str, list[date]], shown: date) -> Iterator[tuple[str, str, list[date]]]:
    """Late days before the first partition, by dataset."""
    for name, dataset in DATASETS.items():
        if days := sorted(
            {day for aggregate in dataset.aggregates for day in stale.get(aggregate.name, []) if day < shown}
        ):
            yield f"{name}_before_{shown}", name, days


def _late_ranges(stale: dict[str, list[date]], shown: date, today: date) -> Iterator[tuple[str, str, date, date]]:
    for name, dataset in DATASETS.items():
        days = {
            day for aggregate in dataset.aggregates for day in stale.get(aggregate.name, []) if shown <= day != today
        }
        for first, last in few_ranges(sorted(days)):
            yield f"{name}_{first}_{last}", name, first, last


def _today(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


sensors: list[dg.SensorDefinition] = [
    memory_pressure_sensor,
    pending_intake_sensor,
    late_data_sensor,
    health_sensor,
    alert_sensor,
]
