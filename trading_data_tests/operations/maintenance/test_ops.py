"""The two jobs as Dagster runs them, with what they show; and late rows for a chunk that is long compressed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.chunks import chunks, chunks_to_compress
from trading_data.datasets import METRICS, PRICE
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.metadata import bars
from trading_data.orchestration.runs import old_runs
from trading_data.times import DAY, day_start, now
from trading_data_tests.operations.maintenance.ages import aggregates, rows
from trading_data_tests.orchestration.ticks import end_run, schedule_tick, started_run, tick
from trading_data_tests.rig import Rig, bar, measurement

TODAY = day_start(now().date())
AGE = 200
OLD = TODAY - timedelta(days=AGE) + timedelta(hours=15)


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


def run(defs: dg.Definitions, instance: dg.DagsterInstance, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(instance=instance, run_config=config, raise_on_error=False)


def shown(result: dg.ExecuteInProcessResult, op: str) -> dict[str, Any]:
    """What an op's output says."""
    (event,) = [one for one in result.events_for_node(op) if one.is_successful_output]
    return {name: one.value for name, one in event.step_output_data.metadata.items()}


def observed(instance: dg.DagsterInstance, asset: str, day: datetime) -> dict[str, Any]:
    """The newest observation of a partition."""
    chosen = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[f"{day:%Y-%m-%d}"])
    (found,) = instance.fetch_observations(chosen, limit=1).records
    observation = found.event_log_entry.asset_observation
    assert observation is not None
    return {name: one.value for name, one in observation.metadata.items()}


def test_late_rows_for_a_chunk_of_200_days_that_is_compressed(
    rig: Rig, instance: dg.DagsterInstance, defs: dg.Definitions
) -> None:
    """Aggregates are right within one tick of the sensor, and the chunk is compressed again that night."""
    rig.store.record_prices([bar("A", timestamp=OLD + timedelta(minutes=minute)) for minute in range(500)])
    rig.archive_all(PRICE)
    night = run(defs, instance, "compression_job")
    assert night.success
    figures = observed(instance, "price_data", OLD)
    assert figures["chunk bytes before"] > figures["chunk bytes after"]
    assert figures["chunk compression ratio"] > 1
    assert observed(instance, "price_data", TODAY)["compressed chunks"] == 1
    said = shown(night, "compress_price")
    assert (said["chunks"], said["done"].records[0].data["outcome"]) == (1, "compressed")
    assert said["ratio by day"].startswith("`█`")
    rig.store.record_prices([bar("A", timestamp=OLD, close=9.5), bar("B", timestamp=OLD + timedelta(minutes=7))])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    (request,) = tick("late_data_sensor", instance).run_requests
    job = defs.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(instance=instance, asset_selection=request.asset_selection, tags=request.tags)
    assert done.success
    for aggregate in PRICE.aggregates:
        assert differences(rig.archive, PRICE, aggregate, day_start(OLD.date()), day_start(OLD.date()) + DAY) == []
    assert chunks_to_compress(rig.archive, PRICE, TODAY) == [chunks(rig.archive, PRICE)[0].name]
    assert shown(run(defs, instance, "compression_job"), "compress_price")["done"].records[0].data["outcome"] == (
        "compressed again"
    )
    assert chunks_to_compress(rig.archive, PRICE, TODAY) == []


def test_retention_says_first_and_drops_then(rig: Rig, instance: dg.DagsterInstance, defs: dg.Definitions) -> None:
    ancient = TODAY - 1000 * DAY
    records = [measurement("m", value=float(minute)) for minute in range(3)]
    rig.store.record_metrics(
        [replace(record, timestamp=ancient + timedelta(minutes=at)) for at, record in enumerate(records)]
    )
    rig.store.record_metrics([replace(records[0], timestamp=TODAY)])
    rig.archive_all(METRICS)
    before = aggregates(rig, METRICS)
    dry = shown(run(defs, instance, "retention_job", dry_run=True), "retain_metrics")
    assert (dry["dry run"], dry["go"], dry["stay"], dry["dropped rows"]) == (True, 1, 1, 0)
    assert [record.data["verdict"] for record in dry["verdicts"].records] == ["goes", "stays"]
    assert len(rows(rig, METRICS)) == 4
    wet = run(defs, instance, "retention_job")
    assert wet.success
    done = shown(wet, "retain_metrics")
    assert (done["dry run"], done["go"], done["dropped rows"]) == (False, 1, 3)
    assert len(rows(rig, METRICS)) == 1
    assert aggregates(rig, METRICS) == before
    assert observed(instance, "metrics_data", ancient)["dropped rows"] == 3
    assert rig.query("select run_id from archive_dropped") == [(wet.run_id,)]


def test_drift_turns_the_check_red_without_any_archive_run(
    rig: Rig, instance: dg.DagsterInstance, defs: dg.Definitions
) -> None:
    rig.query("select set_chunk_time_interval('trade_data', interval '7 days') is null")
    try:
        assert run(defs, instance, "compression_job").success
    finally:
        rig.query("select set_chunk_time_interval('trade_data', interval '1 day') is null")
    for asset, passed in (("trade_data", False), ("price_data", True)):
        key = dg.AssetCheckKey(dg.AssetKey(asset), "declared_is_actual")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event is not None
        evaluation = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        assert evaluation.passed is passed


def test_the_schedules_ask_once_a_night(instance: dg.DagsterInstance) -> None:
    for name, hour in (("compression", 3), ("retention", 4)):
        moment = datetime(2026, 11, 20, hour, 10, tzinfo=UTC)
        (request,) = schedule_tick(f"{name}_schedule", instance, moment).run_requests
        assert request.partition_key is None
        under_way = started_run(instance, f"{name}_job")
        assert "is queued or under way" in schedule_tick(f"{name}_schedule", instance, moment).skip_message
        end_run(instance, under_way, dg.DagsterRunStatus.SUCCESS)
        assert schedule_tick(f"{name}_schedule", instance, moment).run_requests


def test_old_runs_of_jobs_without_assets_go_and_no_others(instance: dg.DagsterInstance) -> None:
    ended = started_run(instance, "compression_job")
    end_run(instance, ended, dg.DagsterRunStatus.FAILURE)
    mine = ended.run_id
    with_assets = started_run(instance, "compression_job")
    materialization = dg.AssetMaterialization("price_data", partition="2026-01-01")
    event = dg.DagsterEvent(
        event_type_value="ASSET_MATERIALIZATION",
        job_name="compression_job",
        event_specific_data=_data(materialization),
    )
    instance.report_dagster_event(event, run_id=with_assets.run_id)
    end_run(instance, with_assets, dg.DagsterRunStatus.SUCCESS)
    running = started_run(instance, "retention_job")
    other = started_run(instance, "archive_job")
    end_run(instance, other, dg.DagsterRunStatus.SUCCESS)
    jobs = ("compression_job", "retention_job")
    assert list(old_runs(instance, jobs, now() + timedelta(days=29))) == []
    found = {
        old_run.name.partition(" ")[2]: old_run for old_run in old_runs(instance, jobs, now() + timedelta(days=31))
    }
    assert found[mine].goes
    assert not found[with_assets.run_id].goes
    assert found[with_assets.run_id].reason.endswith("this one has events of assets")
    assert running.run_id not in found
    assert other.run_id not in found
    found[mine].remove()
    assert instance.get_run_by_id(mine) is None
    assert "2026-01-01" in instance.get_materialized_partitions(dg.AssetKey("price_data"))
    end_run(instance, running, dg.DagsterRunStatus.SUCCESS)


def _data(materialization: dg.AssetMaterialization) -> Any:
    from dagster._core.events import StepMaterializationData

    return StepMaterializationData(materialization)


def test_bars() -> None:
    assert bars([]) == ""
    assert bars([0.0, 0.0]) == "▁▁"
    assert bars([1, 4, 8]) == "▂▅█"
    assert len(bars([1.0] * 500)) == 90
