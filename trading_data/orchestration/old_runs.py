"""Runs of jobs that are not about assets, and that nobody will ask for again.

Belongs here: which of them go. Does not: anything else that has had its time (`aging.leftovers`).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial

import dagster as dg

from trading_data.aging.leftovers import Leftover

OPERATIONS = ("compression_job", "retention_job", "restore_drill_job")
"""Jobs of ops, whose runs are about no asset."""
RUNS_FOR = timedelta(days=30)
FORGOTTEN_AFTER = timedelta(days=1)
_AT_ONCE = 5
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_OF_ASSETS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


def forget(instance: dg.DagsterInstance, job: str, now: datetime) -> int:
    """Delete some runs of a job that runs every minute about assets without partitions, once they are a day old.

    What the newest run said of such an asset is all there is to know of it: nothing is missing again. Some, because it is
    done in each of these runs.

    Returns:
        How many it deleted.
    """
    chosen = dg.RunsFilter(job_name=job, statuses=_ENDED, created_before=now - FORGOTTEN_AFTER)
    runs = instance.get_runs(chosen, limit=_AT_ONCE, ascending=True)
    for run in runs:
        instance.delete_run(run.run_id)
    return len(runs)


def old_runs(instance: dg.DagsterInstance, jobs: Iterable[str], now: datetime) -> Iterator[Leftover]:
    """Runs of these jobs that were created more than 30 days ago and have ended.

    Deleting a run deletes its events, and with those of an asset the partition would be missing again: a run that has any
    stays, whatever its job.
    """
    for job in jobs:
        chosen = dg.RunsFilter(job_name=job, statuses=_ENDED, created_before=now - RUNS_FOR)
        for record in instance.get_run_records(chosen):
            run = record.dagster_run
            name = f"{job} {run.run_id}"
            age = f"of {record.create_timestamp:%Y-%m-%d}; runs of {job} are kept for {RUNS_FOR.days} days"
            remove = partial(instance.delete_run, run.run_id)
            of_assets = run.asset_selection or run.asset_check_selection
            if of_assets or instance.all_logs(run.run_id, of_type=_OF_ASSETS):
                yield Leftover("run", name, False, f"{age}, but this one has events of assets", remove)
            else:
                yield Leftover("run", name, True, age, remove)
