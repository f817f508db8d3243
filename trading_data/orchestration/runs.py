"""What sensors and schedules ask of past and present runs.

Belongs here: questions to the instance. Does not: decisions.
"""

from datetime import datetime

import dagster as dg

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def active_run(instance: dg.DagsterInstance, job_name: str | None = None, **tags: str) -> str | None:
    """The id of a run that is queued or under way, of a job or with all of the tags; None if there is none."""
    found = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=ACTIVE, tags=tags or None), limit=1)
    return found[0].run_id if found else None


def newest_run(instance: dg.DagsterInstance, job_name: str, **tags: str) -> float | None:
    """When the newest run of a job was created, in seconds since 1970; None if there was none."""
    found = instance.get_run_records(dg.RunsFilter(job_name=job_name, tags=tags or None), limit=1)
    return found[0].create_timestamp.timestamp() if found else None


def materialized_since(instance: dg.DagsterInstance, asset: dg.AssetKey, moment: datetime) -> bool:
    """Whether an asset was materialized at a moment (aware) or after it, in whichever run."""
    newest = instance.get_latest_materialization_event(asset)
    return newest is not None and newest.timestamp >= moment.timestamp()
