"""The definitions have exactly what is declared: jobs, checks, schedules and sensors with their switches."""

from itertools import chain

import dagster as dg

from trading_data.orchestration.build import build_defs
from trading_data.orchestration.declared import DURABLE, JOBS, READS_BACK, SCHEDULES, declared_checks, declared_sensors


def test_jobs_are_as_declared_and_run_in_one_process() -> None:
    defs = build_defs()
    assert sorted(job.name for job in defs.jobs or ()) == sorted(JOBS)
    repository = defs.get_repository_def()
    assert {repository.get_job(name).executor_def.name for name in JOBS} == {"in_process"}


def test_checks_are_as_declared() -> None:
    defs = build_defs()
    owners = chain(defs.assets or (), defs.asset_checks or ())
    checks = [spec.key for owner in owners if isinstance(owner, dg.AssetsDefinition) for spec in owner.check_specs]
    assert sorted(checks, key=str) == sorted(declared_checks(), key=str)


def test_every_check_but_those_of_the_backups_runs_by_itself() -> None:
    graph = build_defs().resolve_asset_graph()
    bound = {key.name for key in declared_checks() if len(graph.get_execution_set_asset_and_check_keys(key)) > 1}
    assert bound == {DURABLE, READS_BACK}


def test_schedules_are_switched_as_declared() -> None:
    defined = {
        schedule.name: schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        for schedule in build_defs().get_repository_def().schedule_defs
    }
    assert defined == SCHEDULES


def test_sensors_are_switched_as_declared() -> None:
    defined = {
        sensor.name: sensor.default_status == dg.DefaultSensorStatus.RUNNING
        for sensor in build_defs().get_repository_def().sensor_defs
    }
    assert defined == declared_sensors()
