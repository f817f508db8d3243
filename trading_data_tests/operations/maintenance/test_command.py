"""`trading-data retention`: every chunk with its reason; and `status` with what is switched otherwise."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dagster import DagsterInstance
from dagster._core.scheduler.instigation import InstigatorStatus

from trading_data.cli.main import group
from trading_data.datasets import DATASETS
from trading_data.times import DAY, day_start, now
from trading_data_tests.operations.maintenance.ages import rows
from trading_data_tests.operations.maintenance.test_drift import switch
from trading_data_tests.rig import Rig, bar, fill, measurement

TODAY = day_start(now().date())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def test_a_dry_run_says_of_every_chunk_why(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    ancient = TODAY - 3000 * DAY
    rig.store.record_prices([bar(timestamp=ancient), bar(timestamp=TODAY - 5 * DAY)])
    rig.store.record_trades([fill(timestamp=ancient)])
    rig.store.record_metrics([replace(measurement(), timestamp=ancient), replace(measurement(), timestamp=TODAY)])
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
    half = Path(rig.settings.intake_uri) / "price" / ".half.parquet.tmp"
    half.write_bytes(b"x")
    os.utime(half, ((TODAY - 2 * DAY).timestamp(),) * 2)
    said = run("retention", "--dry-run")
    assert said.exit_code == 0
    lines = said.output.splitlines()
    assert [line.partition(" MB  ")[2] for line in lines[:5]] == [
        "stays: no backup is known that covers it",
        "stays: it ended 4 days ago; rows are kept for 1,830 days, 1,826 more",
        "stays: kept for ever",
        "goes: 3,000 days old, metrics_1h equal its rows, nothing waits for it",
        "stays: it has not ended; rows are kept for 732 days after its end",
    ]
    assert lines[0].startswith(f"price_data  {ancient.date()}  0.")
    assert lines[5:] == [
        f"half-written file  {half}  goes: half-written since {TODAY - 2 * DAY:%Y-%m-%d %H:%M}Z",
        "1 chunk would be dropped, 4 stay",
    ]
    assert half.exists()
    assert len(rows(rig, DATASETS["metrics"])) == 2
    done = run("retention", "metrics").output.splitlines()
    assert "dropped: 3,000 days old" in done[0]
    assert "1 row in " in done[0]
    assert done[0].endswith("kept: 1 bucket of metrics_1h")
    assert done[-1] == "1 chunk dropped, 1 stays"
    assert len(rows(rig, DATASETS["metrics"])) == 1
    assert half.exists()
    assert "0 chunks dropped, 4 stay" in run("retention").output
    assert not half.exists()
    assert run("retention", "bars").exit_code == 2


def test_status_says_what_is_switched_otherwise(
    rig: Rig, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(instance.root_directory)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    switch(instance, "compression_schedule", InstigatorStatus.STOPPED)
    rig.query("select set_chunk_time_interval('price_data', interval '7 days') is null")
    try:
        lines = json.loads(run("status", "--json").output)["archive"]["policy_drift"]
    finally:
        rig.query("select set_chunk_time_interval('price_data', interval '1 day') is null")
        switch(instance, "compression_schedule", InstigatorStatus.DECLARED_IN_CODE)
    assert [line.partition(";")[0] for line in lines] == [
        "new chunks of price_data hold 7 days",
        "schedule compression_schedule is switched off",
    ]
