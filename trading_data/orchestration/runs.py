"""Queries about past and present runs, and the runs that are old enough to delete."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial

import dagster as dg

from trading_data.operations.maintenance.cleanup import Leftover

RUNS_FOR = timedelta(days=30)
_AT_ONCE = 5_000
"""Runs examined in one night, the oldest first."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_OF_ASSETS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


def old_runs(instance: dg.DagsterInstance, jobs: Iterable[str], now: datetime) -> Iterator[Leftover]:
    """Finished runs of these jobs that were created more than 30 days ago.

    Deleting a run deletes its events, and without its events a partition would count as missing again. So a run with events of
    an asset stays, whatever its job.
    """
    for job in jobs:
        chosen = dg.RunsFilter(job_name=job, statuses=_ENDED, created_before=now - RUNS_FOR)
        for record in instance.get_run_records(chosen, limit=_AT_ONCE, ascending=True):
            run = record.dagster_run
            name = f"{job} {run.run_id}"
            age = f"of {record.create_timestamp:%Y-%m-%d}; runs of {job} are kept for {RUNS_FOR.days} days"
            remove = partial(instance.delete_run, run.run_id)
            if instance.all_logs(run.run_id, of_type=_OF_ASSETS):
                yield Leftover("run", name, False, f"{age}, but this one has events of assets", remove)
            else:
                yield Leftover("run", name, True, age, remove)


ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def active_run(instance: dg.DagsterInstance, job_name: str | None = None, **tags: str) -> str | None:
    """The id of a run that is queued or under way, of a job or with all of the tags; None if there is none."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=ACTIVE, tags=tags or None), limit=1)
    return runs[0].run_id if runs else None


def newest_run(instance: dg.DagsterInstance, job_name: str, **tags: str) -> float | None:
    """When the newest run of a job was created, in seconds since 1970; None if there was none."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, tags=tags or None), limit=1)
    return records[0].create_timestamp.timestamp() if records else None


def materialized_since(instance: dg.DagsterInstance, asset: dg.AssetKey, moment: datetime) -> bool:
    """Whether any run materialized an asset at or after a moment (aware)."""
    newest = instance.get_latest_materialization_event(asset)
    return newest is not None and newest.timestamp >= moment.timestamp()
