"""Backups and drills as Dagster runs them, with what they show."""

import os
from random import Random
from typing import Any

import dagster as dg
import pytest

from trading_data.operations.backup.create import create_redis_backup
from trading_data.operations.backup.manifest import backups
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.declared import READS_BACK
from trading_data.settings import TIMESCALE_URL
from trading_data_tests.operations.backup.states import damaged, files_of, fill_everything
from trading_data_tests.orchestration.ticks import checks, failure, materializations, schedule_tick, started_run
from trading_data_tests.rig import MOMENT, Rig


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


def run(defs: dg.Definitions, instance: dg.DagsterInstance, job: str, **options: Any) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False, **options)


def test_a_nights_backup_and_its_drill(quick: Rig, instance: dg.DagsterInstance, defs: dg.Definitions) -> None:
    skipped = schedule_tick("restore_drill_schedule", instance, MOMENT)
    assert "there is no complete backup" in str(skipped.skip_message)
    fill_everything(quick, days=(0, 12), minutes=5)
    done = run(defs, instance, "backup_job")
    assert done.success
    (backup,) = backups(quick.settings.backup_uri)
    assert backup.manifest is not None
    assert backup.manifest.run == done.run_id
    (live,) = materializations(done, "redis_backup").values()
    assert (live["backup"], live["batches"]) == (backup.name, 1)
    (archive,) = materializations(done, "timescale_backup").values()
    held = {record.data["table"]: record.data["rows"] for record in archive["tables"].records}
    assert held["price_data"] == 21
    assert archive["backups"].records[0].data["verdict"] == "kept"
    assert checks(done)[("timescale_backup", READS_BACK)][0]
    with damaged(files_of(backup)[0], Random(1), cut=True):
        drill = run(defs, instance, "restore_drill_job")
    assert not drill.success
    assert "does not restore correctly" in failure(drill, "drill_newest_backup")
    assert not backups(quick.settings.backup_uri)[0].drilled
    if not os.environ.get(TIMESCALE_URL):
        return  # an engine of its own takes its time, and `test_drill` has one
    drill = run(defs, instance, "restore_drill_job")
    assert drill.success
    (event,) = [one for one in drill.events_for_node("drill_newest_backup") if one.is_successful_output]
    assert event.step_output_data.metadata["restored and equal"].value is True
    assert backups(quick.settings.backup_uri)[0].drilled


def test_halves_of_two_runs_are_not_joined(quick: Rig, instance: dg.DagsterInstance, defs: dg.Definitions) -> None:
    create_redis_backup(quick.settings.backup_uri, quick.client, quick.intake, "another run")
    done = run(defs, instance, "backup_job", asset_selection=[dg.AssetKey("timescale_backup")])
    assert not done.success
    assert "both halves are of one run" in failure(done, "timescale_backup")
    assert not any(backup.complete for backup in backups(quick.settings.backup_uri))


def test_one_run_a_night(quick: Rig, instance: dg.DagsterInstance) -> None:
    asked = schedule_tick("backup_schedule", instance, MOMENT)
    assert len(asked.run_requests or ()) == 1
    under_way = started_run(instance, "backup_job")
    assert under_way.run_id[:8] in str(schedule_tick("backup_schedule", instance, MOMENT).skip_message)
