"""Helpers: one tick of a sensor or schedule, or one run, on an instance of Dagster."""

from datetime import UTC, datetime
from tempfile import gettempdir
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from trading_data.orchestration.build import build_defs
from trading_data.orchestration.resources import resources


def run_archive(
    instance: dg.DagsterInstance, day: str | None = None, *, last: str | None = None, **tags: str
) -> dg.ExecuteInProcessResult:
    """One run of `archive_job` for a day, or for the range up to `last`; a failure is in the result."""
    job = build_defs().resolve_job_def("archive_job")
    day = day or today()
    if last:
        tags |= {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": last}
        return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    return job.execute_in_process(instance=instance, partition_key=day, tags=tags, raise_on_error=False)


def run_assets(
    instance: dg.DagsterInstance, assets: list[str], day: str | None = None, *, last: str | None = None, **tags: str
) -> dg.ExecuteInProcessResult:
    """One run of some assets for a day or for a range, as the web page asks for it, without their checks."""
    chosen = dg.define_asset_job("chosen", selection=dg.AssetSelection.assets(*assets).without_checks())
    defs = build_defs()
    job = dg.Definitions.merge(defs, dg.Definitions(jobs=[chosen])).resolve_job_def("chosen")
    if last and day:
        tags |= {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": last}
        return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    return job.execute_in_process(instance=instance, partition_key=day, tags=tags, raise_on_error=False)


def tick(name: str, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    """One tick of a sensor: `run_requests`, `skip_message`, `cursor`."""
    defs = build_defs()
    sensor = defs.resolve_sensor_def(name)
    made = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs, resources=resources())
    with made as context:
        return sensor.evaluate_tick(context)


def schedule_tick(name: str, instance: dg.DagsterInstance, moment: datetime) -> Any:
    """One tick of a schedule."""
    defs = build_defs()
    made: Any = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=moment,
        repository_def=defs.get_repository_def(),
        resources=resources(),
    )
    with made as context:
        # Of its own accord it opens the storage that the reference names anew; what is in memory would not be there.
        context._instance, context._instance_ref = instance, InstanceRef.from_dir(gettempdir())
        return defs.resolve_schedule_def(name).evaluate_tick(context)


def started_run(instance: dg.DagsterInstance, job_name: str = "archive_job", **tags: str) -> dg.DagsterRun:
    """A run that is under way."""
    run = dg.DagsterRun(job_name=job_name, status=dg.DagsterRunStatus.STARTED, tags=tags)
    return instance.add_run(run)


def end_run(instance: dg.DagsterInstance, run: dg.DagsterRun, status: dg.DagsterRunStatus) -> None:
    """Let a run end."""
    kinds = {
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
    }
    event = dg.DagsterEvent(event_type_value=kinds[status].value, job_name=run.job_name)
    instance.report_dagster_event(event, run_id=run.run_id)


def materializations(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dict[str, Any]]:
    """Partition → metadata values of every materialization of an asset in a run."""
    shown: dict[str, dict[str, Any]] = {}
    for event in result.all_events:
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            if materialization.asset_key == dg.AssetKey(asset):
                metadata = {name: value.value for name, value in materialization.metadata.items()}
                shown[str(materialization.partition)] = metadata
    return shown


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], tuple[bool, str | None]]:
    """(asset, check) → passed and description."""
    return {
        (verdict.asset_key.to_user_string(), verdict.check_name): (verdict.passed, verdict.description)
        for verdict in result.get_asset_check_evaluations()
    }


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    """The message of a failed step; empty if it did not fail."""
    for event in result.all_events:
        if event.is_step_failure and event.step_key == step:
            data = event.step_failure_data
            return data.user_failure_data.description or "" if data.user_failure_data else str(data.error)
    return ""


def today() -> str:
    """Today's partition."""
    return f"{datetime.now(UTC):%Y-%m-%d}"
