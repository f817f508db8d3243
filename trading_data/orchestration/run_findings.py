"""What is wrong by Dagster's own records: failed and stuck runs, red checks, a silent daemon, switches, a large storage.

`ui_url` is where people reach Dagster's page, without a slash at its end; if it is empty, links are paths.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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

RUN_FAILURE, CHECK, STUCK_RUN, DAEMON, SWITCHED = "run_failure", "check", "stuck_run", "daemon", "switched"
STORAGE_SIZE, STORAGE_BYTES = "dagster_storage", 2e9
OF_PARTITIONS = (ASSET_JOB, BACKFILL_JOB)
"""Jobs whose runs each have their own days: a failure is over when the failed run's own days are right."""
ASSET_RUNS_FOR = timedelta(days=1)
"""How long the failure of such a run is reported if it is unknown what the run was to materialize."""
RUNS_KEPT_FOR = timedelta(days=30)
"""How long any failure is reported: the events needed to judge it are pruned after that."""
_LOOKED_UP = 1000
LOOKED_AT = frozenset({*HEALTH_CHECKS, FRESH, QUARANTINED, MISSING})
"""Checks, or assets with all their checks, left out of red checks: the alert sensor measures the same itself, and sooner."""
BEATS_WITHIN = 300.0
"""Seconds without a heartbeat after which a daemon counts as silent; a running one has one every 30."""
QUEUED_FOR = timedelta(hours=1)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_COMMAND = re.compile(r"`(trading-data [^`]+)`")
_PAGE = 20


def failed_runs(
    instance: dg.DagsterInstance,
    jobs: Iterable[str],
    now: datetime,
    of_partitions: Sequence[str] = OF_PARTITIONS,
    ui_url: str = "",
) -> list[Finding]:
    """A finding for each job whose newest finished run failed.

    A failed run of a job in `of_partitions` counts until everything it was to materialize is right, or the run is deleted.
    A run that Dagster is about to retry, or that was cancelled, does not count as failed.
    """
    findings = []
    for job in jobs:
        ended = [record for record in _records(instance, job, _ENDED, _PAGE) if not _retried(record.dagster_run)]
        failed = ended[0] if ended and _failed(ended[0]) else None
        if job in of_partitions:  # another run's success does not make these days right
            recent = _records(instance, job, [dg.DagsterRunStatus.FAILURE], None, created_after=now - RUNS_KEPT_FOR)
            stands = (
                record for record in recent if not _retried(record.dagster_run) and _stands(instance, record, now)
            )
            failed = next(stands, None)
        if failed:
            findings.append(_run_failure(instance, failed.dagster_run, ui_url))
    return findings


def ended_failures(
    instance: dg.DagsterInstance, jobs: Iterable[str], now: datetime, since: datetime, ui_url: str = ""
) -> list[Finding]:
    """A finding for each job of which a run failed after `since` and which `failed_runs` does not count as failed any more."""
    findings = []
    for job in jobs:
        made = {"created_after": now - ASSET_RUNS_FOR} if job in OF_PARTITIONS else {}
        records = _records(instance, job, [dg.DagsterRunStatus.FAILURE], _PAGE, updated_after=since, **made)
        failed = [record.dagster_run for record in records if not _retried(record.dagster_run)]
        if failed and not failed_runs(instance, [job], now):
            findings.append(_run_failure(instance, failed[0], ui_url))
    return findings


def red_checks(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> list[Finding]:
    """A finding for each check whose newest evaluation did not pass, except those in `LOOKED_AT`."""
    storage = instance.event_log_storage
    wanted = [key for key in keys if not LOOKED_AT & {key.name, key.asset_key.to_user_string()}]
    findings = []
    for key, newest in storage.get_latest_asset_check_execution_by_key(wanted).items():
        record = newest
        if record.status not in VERDICTS:  # planned by a run that is under way, or that died before the check
            older = storage.get_asset_check_execution_history(key, limit=1, status=VERDICTS)
            if not older:
                continue
            record = older[0]
        if record.status == AssetCheckExecutionRecordStatus.FAILED and record.evaluation is not None:
            findings.append(_red(key, record.evaluation))
    return findings


def stuck_runs(instance: dg.DagsterInstance, now: datetime, ui_url: str = "") -> list[Finding]:
    """A finding for each job with a run that has been under way for longer than allowed, or queued for more than an hour."""
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
                    message=f"run {run.run_id[:8]} of {run.job_name} has been {word} for {span(seconds)} and delays "
                    f"the runs after it: {page_of(run, ui_url)}",
                    command="trading-data doctor"
                    if word == "queued"
                    else f"open {page_of(run, ui_url)} in Dagster and terminate it",
                    subject=run.job_name,
                    value=seconds,
                    limit=limit.total_seconds(),
                    unit="s",
                    priority=480,
                )
    return list(findings.values())


def silent_daemons(instance: dg.DagsterInstance, now: datetime) -> list[Finding]:
    """One finding if a part of Dagster's daemon has had no heartbeat for five minutes: nothing is scheduled or watched then."""
    beats = instance.get_daemon_heartbeats()
    ages = {
        name: now.timestamp() - beats[name].timestamp if name in beats else None
        for name in instance.get_required_daemon_types()
    }
    silent = {name: age for name, age in ages.items() if age is None or age > BEATS_WITHIN}
    if not silent:
        return []
    oldest = max((age for age in silent.values() if age is not None), default=None)
    last_beats = ", ".join(
        f"{name.lower()} {'never' if age is None else f'{span(age)} ago'}" for name, age in sorted(silent.items())
    )
    return [
        Finding(
            key=DAEMON,
            severity=ERROR,
            message=f"Dagster's daemon is not running, so nothing is archived or watched, and no alert is sent; last heartbeats: "
            f"{last_beats}",
            command="trading-data up",
            value=oldest,
            limit=BEATS_WITHIN,
            unit="s",
            time_to_impact=0.0,
            priority=850,
        )
    ]


def switched(instance: dg.DagsterInstance, variables: Mapping[str, str] | None = None) -> list[Finding]:
    """One finding for all schedules and sensors that are not switched as declared; `variables` as for `switched_otherwise`."""
    lines = switched_otherwise(instance, variables)
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
            priority=600,
        )
    ]


def large_storage(instance: dg.DagsterInstance) -> list[Finding]:
    """One finding if Dagster's own database is larger than a pruned one ever gets."""
    from trading_data.orchestration.old_events import storage_bytes  # loads SQLAlchemy

    size = storage_bytes(instance)
    if size is None or size <= STORAGE_BYTES:
        return []
    return [
        Finding(
            key=STORAGE_SIZE,
            severity=WARN,
            message=f"Dagster's own database takes {size / 1e9:,.1f} GB; more than {STORAGE_BYTES / 1e9:g} GB means that "
            "nothing prunes it, as `retention_job` does every night",
            command="trading-data run retention_job",
            value=float(size),
            limit=STORAGE_BYTES,
            unit="bytes",
            priority=280,
        )
    ]


def failed_since(instance: dg.DagsterInstance, since: datetime) -> list[str]:
    """The jobs of runs that failed after `since` (aware) and are not retried, newest first, a job once for each run."""
    chosen = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    runs = [record.dagster_run for record in instance.get_run_records(chosen, limit=_PAGE)]
    return [_job(run) for run in runs if _ours(run) and not _retried(run)]


def first_line(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The first line of why a run failed."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=kinds) if entry.dagster_event]
    for event in sorted(events, key=lambda event: event.event_type != dg.DagsterEventType.STEP_FAILURE):
        message = _error_message(event.event_specific_data) or event.message or ""
        line = next((line.strip() for line in message.splitlines() if line.strip()), "")
        if line:
            step = f"{event.step_key}: " if event.step_key else ""
            return f"{step}{line}"
    return "it ended without a message"


def _error_message(data: Any) -> str:
    failure = getattr(data, "user_failure_data", None)
    if failure is not None and failure.description:
        return str(failure.description)
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return "" if error is None else f"{error.message}"


def _run_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, ui_url: str) -> Finding:
    job = _job(run)
    return Finding(
        key=f"{RUN_FAILURE}.{job}",
        severity=ERROR,
        message=f"run {run.run_id[:8]} of {job}{_days(run)} failed: {first_line(instance, run)}. It is at {page_of(run, ui_url)}",
        command=_run_again(run, ui_url),
        subject=job,
        priority=650,
    )


def _job(run: dg.DagsterRun) -> str:
    """The job of a run as people call it."""
    return "assets" if run.job_name == ASSET_JOB else run.job_name


def _run_again(run: dg.DagsterRun, ui_url: str) -> str:
    """The command that repeats a run; whatever the run had already done is not done twice."""
    names = [run.job_name]
    if run.job_name == ASSET_JOB:
        names = sorted(key.to_user_string() for key in run.asset_selection or ())
        if not names:
            return f"open {page_of(run, ui_url)} in Dagster and re-execute it"
    days = sorted(value for name, value in run.tags.items() if is_day_tag(name))
    if len(days) > 1:
        end = date.fromisoformat(days[-1]) + timedelta(days=1)
        return f"trading-data run {' '.join(names)} --start {days[0]} --end {end}"
    return f"trading-data run {' '.join(names)}" + (f" --day {days[0]}" if days else "")


def page_of(run: dg.DagsterRun, ui_url: str) -> str:
    """The link to a run's page, or its path if `ui_url` is empty."""
    return f"{ui_url}/runs/{run.run_id}"


def _stands(instance: dg.DagsterInstance, record: dg.RunRecord, now: datetime) -> bool:
    """Whether anything that a failed run was to materialize is still not right, and the failure not too old to report.

    An asset's day is right if the run itself materialized it before it failed, if any run has materialized it since, or if a later
    run of the job was requested for it and succeeded, for example on a day without rows.
    """
    run = record.dagster_run
    age, ended = now - record.create_timestamp, record.end_time or record.create_timestamp.timestamp()
    left = _planned(instance, run)
    if not left:  # it failed before it was known what it was to materialize
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
    """The assets that a run was to materialize, each with each of its days, or None for an asset without partitions."""
    planned: set[tuple[dg.AssetKey, str | None]] = set()
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    for event in [entry.dagster_event for entry in entries if entry.dagster_event]:
        data = event.asset_materialization_planned_data
        subset = data.partitions_subset
        planned |= {(data.asset_key, day) for day in (subset.get_partition_keys() if subset else [data.partition])}
    days: list[str | None] = [*_partitions(run)]
    return planned or {(key, day) for key in run.asset_selection or () for day in days or [None]}


def _materialized(
    instance: dg.DagsterInstance, key: dg.AssetKey, since: datetime, run_id: str, ended: float
) -> set[str | None]:
    """The days of an asset, and None, that a run which ended at `ended` materialized, or any run after that."""
    days: set[str | None] = set()
    cursor = None
    while True:
        chosen = dg.AssetRecordsFilter(key, after_timestamp=since.timestamp())
        page = instance.fetch_materializations(chosen, limit=_LOOKED_UP, cursor=cursor)
        for record in page.records:
            if record.timestamp > ended or record.event_log_entry.run_id == run_id:
                days |= {record.partition_key, None}
        if not page.has_more:
            return days
        cursor = page.cursor


def _partitions(run: dg.DagsterRun) -> list[str]:
    """The partition keys of a run, every day of a range; empty for a run without partitions."""
    tagged = sorted(value for name, value in run.tags.items() if is_day_tag(name))
    if len(tagged) < 2:
        return tagged
    first, last = date.fromisoformat(tagged[0]), date.fromisoformat(tagged[-1])
    return [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]


def _days(run: dg.DagsterRun) -> str:
    days = [value for name, value in sorted(run.tags.items(), reverse=True) if is_day_tag(name)]
    return f" for {' to '.join(days)}" if days else ""


def _red(key: dg.AssetCheckKey, evaluation: Any) -> Finding:
    asset = key.asset_key.to_user_string()
    description = evaluation.description or "it did not pass"
    error = evaluation.severity == dg.AssetCheckSeverity.ERROR
    command = _COMMAND.search(description)
    finding = Finding(
        key=f"{CHECK}.{asset}.{key.name}",
        severity=ERROR if error else WARN,
        message=f"check {key.name} of {asset} is red: {description}",
        command=command[1] if command else "trading-data verify",
        subject=asset,
        priority=660 if error else 300,
    )
    return replace(finding, subject=dataset_of(finding))


def _records(
    instance: dg.DagsterInstance, job: str, statuses: Sequence[dg.DagsterRunStatus], limit: int | None, **more: Any
) -> list[dg.RunRecord]:
    chosen = dg.RunsFilter(job_name=job, statuses=statuses, **more)
    return [record for record in instance.get_run_records(chosen, limit=limit) if _ours(record.dagster_run)]


def _ours(run: dg.DagsterRun) -> bool:
    """Whether a run belongs to this code location; a run in process has no origin."""
    origin = run.remote_job_origin
    return origin is None or origin.location_name == LOCATION


def _failed(record: dg.RunRecord) -> bool:
    return record.dagster_run.status == dg.DagsterRunStatus.FAILURE


def _retried(run: dg.DagsterRun) -> bool:
    return run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(WILL_RETRY_TAG) == "true"
