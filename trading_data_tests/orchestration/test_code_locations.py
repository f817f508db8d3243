"""Two code locations in one process, each with variables of its own; the process's environment plays no part."""

import os

import dagster as dg
import pytest

from trading_data.orchestration.build import build_defs
from trading_data.orchestration.resources import Environment, resources
from trading_data_tests.orchestration.ticks import failure, today
from trading_data_tests.rig import Rig, bar

NOWHERE = {
    "TRADING_DATA_REDIS_URL": "redis://127.0.0.1:1/0",
    "TRADING_DATA_TIMESCALE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "TRADING_DATA_INTAKE_URI": "/nowhere",
}


def run_archive(variables: dict[str, str] | None, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_defs(variables).resolve_job_def("archive_job")
    return job.execute_in_process(instance=instance, partition_key=today(), raise_on_error=False)


def test_each_location_runs_against_the_servers_that_its_own_variables_name(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = dict(os.environ)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    rig.store.record_prices([bar()])
    assert "does not answer" in failure(run_archive(None, instance), "price_data")
    assert run_archive(variables, instance).success
    assert rig.query("select count(*) from price_data") == [(1,)]


def test_each_location_measures_and_watches_by_its_own_variables(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = dict(os.environ)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    defs, health = build_defs(variables), build_defs(variables).resolve_job_def("health_job")
    assert health.execute_in_process(instance=instance, raise_on_error=False).success
    used = resources(Environment(variables))
    for sensor in ("memory_pressure_sensor", "pending_intake_sensor", "late_data_sensor", "health_sensor"):
        made = dg.build_sensor_context(instance=instance, definitions=defs, resources=used)
        with made as context:
            defs.resolve_sensor_def(sensor).evaluate_tick(context)


def test_what_definitions_depend_on_comes_from_their_own_variables() -> None:
    plain, other = (
        build_defs({"TRADING_DATA_START": start, **more})
        for start, more in (
            ("2026-01-05", {}),
            (
                "2025-03-04",
                {
                    "TRADING_DATA_ARCHIVE_CRON": "*/7 * * * *",
                    "TRADING_DATA_VENDOR": "alpaca",
                    "TRADING_DATA_HEALTH_SCHEDULE": "off",
                },
            ),
        )
    )
    shown = []
    for defs in (plain, other):
        graph = defs.resolve_asset_graph()
        table = graph.get(dg.AssetKey("price_data"))
        assert table.partitions_def is not None
        shown.append(
            (
                table.partitions_def.get_first_partition_key(),
                dg.AssetKey("price_history") in table.parent_keys,
                defs.resolve_schedule_def("archive_schedule").cron_schedule,
                defs.resolve_sensor_def("health_sensor").default_status == dg.DefaultSensorStatus.RUNNING,
            )
        )
    assert shown == [("2026-01-05", False, "*/5 * * * *", True), ("2025-03-04", True, "*/7 * * * *", False)]
