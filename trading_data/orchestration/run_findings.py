"""What Dagster itself knows to be wrong: failed and stuck runs, red checks, a daemon that does not beat, switches.

Belongs here: asking the instance. Does not: the tiers (`health`), and telling (`alerting`).
"""

import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from trading_data.operations.alerts.message import dataset_of
from trading_data.operations.health.thresholds import ERROR, WARN, Finding
from trading_data.orchestration.declared import (
    ASSET_JOB,
    BACKFILL_JOB,
    FRESH,
    HEALTH_CHECKS,
    LOCATION,
    MISSING,
    QUARANTINED,
)
from trading_data.orchestration.drift import switched_otherwise
from trading_data.orchestration.private import VERDICTS, WILL_RETRY_TAG, AssetCheckExecutionRecordStatus
from trading_data.orchestration.tags import is_day_tag
from trading_data.printable import span
from trading_data.settings import UI_URL

RUN_FAILURE, CHECK, STUCK_RUN, DAEMON, SWITCHED = "run_failure", "check", "stuck_run", "daemon", "switched"
STORAGE_SIZE, STORAGE_BYTES = "dagster_storage", 2e9
OF_PARTITIONS = (ASSET_JOB, BACKFILL_JOB)
"""Runs of which each has days of its own: the failure of one is over when its own days are right."""
ASSET_RUNS_FOR = timedelta(days=1)
"""How long the failure of such a run is told of which nobody knows what it was to materialize."""
RUNS_KEPT_FOR = timedelta(days=30)
"""How long it is told at most: the events by which it could be judged are pruned then."""
_LOOKED_UP = 1000
LOOKED_AT = frozenset({*HEALTH_CHECKS, FRESH, QUARANTINED, MISSING})
"""Checks, or assets with all of their checks, that say what a look says itself, and sooner."""
BEATS_WITHIN = 300.0
"""Seconds within which a daemon that runs has said so; it does every 30."""
QUEUED_FOR = timedelta(hours=1)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_COMMAND = re.compile(r"`(trading-data [^`]+)`")
_PAGE = 20


def failed_runs(
    instance: dg.DagsterInstance,
    jobs: Iterable[str],
    now: datetime,
    of_partitions: Sequence[str] = OF_PARTITIONS,
) -> list[Finding]:
    """A finding for each job whose newest ended run failed.

    A failed run of a job in `of_partitions` counts until what it was to materialize is right, or until the run is deleted.

    A run that is about to be tried again, and one that somebody cancelled, is no failure.
    """
    found = []
    for job in jobs:
        ended = [record for record in _records(instance, job, _ENDED, _PAGE) if not _retried(record.dagster_run)]
        failed = ended[0] if ended and _failed(ended[0]) else None
        if job in of_partitions:  # another run's success says nothing of these days
            recent = _records(instance, job, [dg.DagsterRunStatus.FAILURE], None, created_after=now - RUNS_KEPT_FOR)
            stands = (one for one in recent if not _retried(one.dagster_run) and _stands(instance, one, now))
            failed = next(stands, None)
        if failed:
            found.append(_run_failure(instance, failed.dagster_run))
    return found


def ended_failures(
    instance: dg.DagsterInstance,
    jobs: Iterable[str],
    now: datetime,
    since: datetime,
    of_partitions: Sequence[str] = OF_PARTITIONS,
) -> list[Finding]:
    """A finding for each job of which a run failed after `since` and which `failed_runs` does not count as failed any more."""
    findings = []
    for job in jobs:
        records = _records(instance, job, [dg.DagsterRunStatus.FAILURE], _PAGE, updated_after=since)
        failed = [
            record.dagster_run
            for record in records
            if not _retried(record.dagster_run)
            and (job not in of_partitions or now - record.create_timestamp < ASSET_RUNS_FOR)
        ]
        if failed and not failed_runs(instance, [job], now, of_partitions):
            findings.append(_run_failure(instance, failed[0]))
    return findings


def red_checks(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> list[Finding]:
    """A finding for each check whose newest evaluation did not pass, but for those that a look makes needless."""
    storage = instance.event_log_storage
    wanted = [key for key in keys if not LOOKED_AT & {key.name, key.asset_key.to_user_string()}]
    found = []
    for key, newest in storage.get_latest_asset_check_execution_by_key(wanted).items():
        record = newest
        if record.status not in VERDICTS:  # planned by a run that is under way, or that died before it came to it
            older = storage.get_asset_check_execution_history(key, limit=1, status=VERDICTS)
            if not older:
                continue
            record = older[0]
        if record.status == AssetCheckExecutionRecordStatus.FAILED and record.evaluation is not None:
            found.append(_red(key, record.evaluation))
    return found


def stuck_runs(instance: dg.DagsterInstance, now: datetime) -> list[Finding]:
    """A finding for each job with a run that is under way longer than allowed, or queued for more than an hour."""
    longest = timedelta(seconds=float((instance.run_monitoring_settings or {}).get("max_runtime_seconds") or 14_400))
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED])
    findings: dict[str, Finding] = {}
    for chosen, limit, word in ((started, longest, "under way"), (queued, QUEUED_FOR, "queued")):
        for record in instance.get_run_records(chosen, limit=200, ascending=True):
            run = record.dagster_run
            began = record.create_timestamp
            if word == "under way" and record.start_time is not None:
                began = datetime.fromtimestamp(record.start_time, UTC)
            if _ours(run) and now - began > limit and run.job_name not in findings:
                seconds = (now - began).total_seconds()
                findings[run.job_name] = Finding(
                    key=f"{STUCK_RUN}.{run.job_name}",
                    severity=WARN,
                    message=f"run {run.run_id[:8]} of {run.job_name} is {word} for {span(seconds)}, and holds up those "
                    f"after it: {page_of(run)}",
                    command="trading-data doctor"
                    if word == "queued"
                    else f"open {page_of(run)} in Dagster and terminate it",
                    of=run.job_name,
                    value=seconds,
                    limit=limit.total_seconds(),
                    unit="s",
                    harm=480,
                )
    return list(findings.values())


def silent_daemons(instance: dg.DagsterInstance, now: datetime) -> list[Finding]:
    """One finding if parts of Dagster's daemon have not beaten for five minutes: nothing is scheduled or watched then."""
    beats = instance.get_daemon_heartbeats()
    ages = {
        name: now.timestamp() - beats[name].timestamp if name in beats else None
        for name in instance.get_required_daemon_types()
    }
    silent = {name: age for name, age in ages.items() if age is None or age > BEATS_WITHIN}
    if not silent:
        return []
    oldest = max((age for age in silent.values() if age is not None), default=None)
    said = ", ".join(
        f"{name.lower()} {'never' if age is None else f'{span(age)} ago'}" for name, age in sorted(silent.items())
    )
    return [
        Finding(
            key=DAEMON,
            severity=ERROR,
            message=f"Dagster's daemon does not beat, so nothing is archived, watched or told: last heard of {said}",
            command="trading-data up",
            value=oldest,
            limit=BEATS_WITHIN,
            unit="s",
            hurts_in=0.0,
            harm=850,
        )
    ]


def switched(instance: dg.DagsterInstance) -> list[Finding]:
    """One finding for all schedules and sensors that are not switched as declared."""
    lines = switched_otherwise(instance)
    if not lines:
        return []
    command = _COMMAND.search(lines[0])
    return [
        Finding(
            key=SWITCHED,
            severity=WARN,
            message="; ".join(lines),
            command=command[1] if command else "trading-data status",
            value=float(len(lines)),
            limit=0.0,
            unit="count",
            harm=600,
        )
    ]


def large_storage(instance: dg.DagsterInstance) -> list[Finding]:
    """One finding if Dagster's own database is larger than a system of this kind ever needs."""
    from trading_data.orchestration.old_events import storage_bytes

    size = storage_bytes(instance)
    if size is None or size <= STORAGE_BYTES:
        return []
    return [
        Finding(
            key=STORAGE_SIZE,
            severity=WARN,
            message=f"Dagster's own database takes {size / 1e9:,.1f} GB, and more than {STORAGE_BYTES / 1e9:g} GB means that "
            "nothing prunes it: `retention_job` does, every night",
            command="dagster job execute -m trading_data.definitions -j retention_job",
            value=float(size),
            limit=STORAGE_BYTES,
            unit="bytes",
            harm=280,
        )
    ]


def failed_since(instance: dg.DagsterInstance, since: datetime) -> list[str]:
    """The jobs of runs that failed after a moment (aware) and are not tried again, the newest first, a job once a run."""
    chosen = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    runs = [get_run_record.dagster_run for get_run_record in instance.get_run_records(chosen, limit=_PAGE)]
    return [_job(run) for run in runs if _ours(run) and not _retried(run)]


def first_line(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The first line of why a run failed."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    entries = [
        all_log.dagster_event for all_log in instance.all_logs(run.run_id, of_type=kinds) if all_log.dagster_event
    ]
    for event in sorted(entries, key=lambda entry: entry.event_type != dg.DagsterEventType.STEP_FAILURE):
        said = _said(event.event_specific_data) or event.message or ""
        line = next((line.strip() for line in said.splitlines() if line.strip()), "")
        if line:
            step = f"{event.step_key}: " if event.step_key else ""
            return f"{step}{line}"
    return "it ended without a word"


def _said(data: Any) -> str:
    told = getattr(data, "user_failure_data", None)
    if told is not None and told.description:
        return str(told.description)
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return "" if error is None else f"{error.message}"


def _run_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Finding:
    job = _job(run)
    return Finding(
        key=f"{RUN_FAILURE}.{job}",
        severity=ERROR,
        message=f"run {run.run_id[:8]} of {job}{_days(run)} failed: {first_line(instance, run)}. It is at {page_of(run)}",
        command=_again(run),
        of=job,
        harm=650,
    )


def _job(run: dg.DagsterRun) -> str:
    """What people call the job of a run."""
    return "assets" if run.job_name == ASSET_JOB else run.job_name


def _again(run: dg.DagsterRun) -> str:
    """The command that runs it again; nothing is done twice, whatever it had done already."""
    names = [run.job_name]
    if run.job_name == ASSET_JOB:
        names = sorted(key.to_user_string() for key in run.asset_selection or ())
        if not names:
            return f"open {page_of(run)} in Dagster and re-execute it"
    days = sorted(value for name, value in run.tags.items() if is_day_tag(name))
    if len(days) > 1:
        end = date.fromisoformat(days[-1]) + timedelta(days=1)
        return f"trading-data run {' '.join(names)} --start {days[0]} --end {end}"
    return f"trading-data run {' '.join(names)}" + (f" --day {days[0]}" if days else "")


def page_of(run: dg.DagsterRun) -> str:
    """Where a run's page is: the whole link where TRADING_DATA_UI_URL says where people reach Dagster, else its path."""
    return f"{os.environ.get(UI_URL, '').rstrip('/')}/runs/{run.run_id}"


def _stands(instance: dg.DagsterInstance, record: dg.RunRecord, now: datetime) -> bool:
    """Whether something that a failed run was to materialize is not right since, and how long that is told.

    Right is what the run itself materialized before it failed, what any run has since, and what a later run of the job was asked
    for and had nothing to tell of, such as a day without a row.
    """
    run = record.dagster_run
    age, ended = now - record.create_timestamp, record.end_time or record.create_timestamp.timestamp()
    left = _planned(instance, run)
    if not left:  # it failed before anybody knew what it was about
        return age < ASSET_RUNS_FOR
    if age > RUNS_KEPT_FOR:
        return False
    for key in {key for key, _ in left}:
        left -= {(key, day) for day in _materialized(instance, key, record.create_timestamp, run.run_id, ended)}
    chosen = dg.RunsFilter(
        job_name=run.job_name,
        statuses=[dg.DagsterRunStatus.SUCCESS],
        created_after=datetime.fromtimestamp(ended, UTC),
    )
    for later in instance.get_runs(chosen) if left else ():
        left -= _planned(instance, later)
    return bool(left)


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[tuple[dg.AssetKey, str | None]]:
    """Assets that a run was to materialize, each with each of its days, None for an asset without."""
    found: set[tuple[dg.AssetKey, str | None]] = set()
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    for event in [entry.dagster_event for entry in entries if entry.dagster_event]:
        data = event.asset_materialization_planned_data
        several = data.partitions_subset
        found |= {(data.asset_key, day) for day in (several.get_partition_keys() if several else [data.partition])}
    days: list[str | None] = [*_partitions(run)]
    return found or {(key, day) for key in run.asset_selection or () for day in days or [None]}


def _materialized(
    instance: dg.DagsterInstance, key: dg.AssetKey, since: datetime, run_id: str, ended: float
) -> set[str | None]:
    """The days of an asset, None without, that a run which ended then has materialized, or any run has since."""
    found: set[str | None] = set()
    cursor = None
    while True:
        chosen = dg.AssetRecordsFilter(key, after_timestamp=since.timestamp())
        page = instance.fetch_materializations(chosen, limit=_LOOKED_UP, cursor=cursor)
        for record in page.records:
            if record.timestamp > ended or record.event_log_entry.run_id == run_id:
                found |= {record.partition_key, None}
        if not page.has_more:
            return found
        cursor = page.cursor


def _partitions(run: dg.DagsterRun) -> list[str]:
    """The days of a run, each by its key; none for a run without."""
    named = sorted(value for name, value in run.tags.items() if is_day_tag(name))
    if len(named) < 2:
        return named
    first, last = date.fromisoformat(named[0]), date.fromisoformat(named[-1])
    return [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]


def _days(run: dg.DagsterRun) -> str:
    days = [value for name, value in sorted(run.tags.items(), reverse=True) if is_day_tag(name)]
    return f" for {' to '.join(days)}" if days else ""


def _red(key: dg.AssetCheckKey, evaluation: Any) -> Finding:
    asset = key.asset_key.to_user_string()
    said = evaluation.description or "it did not pass"
    error = evaluation.severity == dg.AssetCheckSeverity.ERROR
    command = _COMMAND.search(said)
    finding = Finding(
        key=f"{CHECK}.{asset}.{key.name}",
        severity=ERROR if error else WARN,
        message=f"check {key.name} of {asset} is red: {said}",
        command=command[1] if command else "trading-data verify",
        of=asset,
        harm=660 if error else 300,
    )
    return Finding(**{**vars(finding), "of": dataset_of(finding)})


def _records(
    instance: dg.DagsterInstance, job: str, statuses: Sequence[dg.DagsterRunStatus], limit: int | None, **more: Any
) -> list[dg.RunRecord]:
    chosen = dg.RunsFilter(job_name=job, statuses=statuses, **more)
    return [
        get_run_record
        for get_run_record in instance.get_run_records(chosen, limit=limit)
        if _ours(get_run_record.dagster_run)
    ]


def _ours(run: dg.DagsterRun) -> bool:
    """Of this code location; a run in process has no origin."""
    origin = run.remote_job_origin
    return origin is None or origin.location_name == LOCATION


def _failed(record: dg.RunRecord) -> bool:
    return record.dagster_run.status == dg.DagsterRunStatus.FAILURE


def _retried(run: dg.DagsterRun) -> bool:
    return run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(WILL_RETRY_TAG) == "true"
