"""The code location as the gRPC server loads it: names of the contract, and everything described."""

import os
import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
import yaml

from trading_data.datasets import DATASETS
from trading_data.orchestration.build import build_defs

ROOT = Path(__file__).resolve().parents[2]
GROUPS = {
    "history": {"price_history"},
    "live": {"price_snapshot", "trade_snapshot", "metrics_snapshot", "state_snapshot"},
    "archive": {"price_data", "trade_data", "metrics_data"},
    "aggregates": {"price_5m", "price_1h", "price_1d", "trade_1d", "metrics_1h"},
    "operations": {"redis_health", "timescale_health", "redis_backup", "timescale_backup"},
}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_groups_and_names(defs: dg.Definitions) -> None:
    groups: dict[str, set[str]] = {}
    for name, spec in specs(defs).items():
        groups.setdefault(str(spec.group_name), set()).add(name)
    sources = groups.pop("sources")
    assert groups == GROUPS
    state = {f"redis/state_{name}" for name in ("watchlist", "candidates", "active", "monitoring", "signal", "system")}
    journals = {"redis/journal_price", "redis/journal_trade", "redis/journal_metrics"}
    assert sources == journals | {"redis/latest_price"} | state


def test_the_graph_runs_from_redis_keys_to_the_coarsest_aggregate(defs: dg.Definitions) -> None:
    by_name = specs(defs)
    chain = ["price_1d", "price_1h", "price_5m", "price_data", "price_snapshot", "redis/journal_price"]
    for lower, upper in pairwise(chain):
        assert upper in {dep.asset_key.to_user_string() for dep in by_name[lower].deps}
    state = {name for name in by_name if name.startswith("redis/state_")}
    assert {dep.asset_key.to_user_string() for dep in by_name["state_snapshot"].deps} == state


def test_everything_is_described_owned_and_of_a_kind(defs: dg.Definitions) -> None:
    for name, spec in specs(defs).items():
        assert spec.description, name
        assert spec.owners, name
        assert spec.kinds, name


def test_descriptions_link_the_assets_they_name(defs: dg.Definitions) -> None:
    by_name = specs(defs)
    links = {name: re.findall(r"\]\(/assets/(\S+?)\)", spec.description or "") for name, spec in by_name.items()}
    assert {target for targets in links.values() for target in targets} <= set(by_name)
    assert links["price_data"] == ["price_snapshot", "price_5m"]
    assert links["price_1d"] == ["price_1h"]
    assert links["redis/journal_price"] == ["price_snapshot", "price_data"]


def test_assets_of_backups_say_which_backups_they_do_not_show(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for name in ("redis_backup", "timescale_backup"):
        description = graph.get(dg.AssetKey(name)).description or ""
        assert (
            "A backup by `trading-data backup` is not shown here: `trading-data backup --list` lists every backup"
            in description
        )


def test_bars_come_from_a_vendor_only_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    history = dg.AssetKey("price_history")
    for vendor, expected in (("", False), ("alpaca", True)):
        monkeypatch.setenv("TRADING_DATA_VENDOR", vendor)
        spec = specs(build_defs())["price_data"]
        assert (history in {dep.asset_key for dep in spec.deps}) == expected
        assert ("price_history" in (spec.description or "")) == expected


def test_partitions_are_utc_days_up_to_today_and_backfills_are_one_run(defs: dg.Definitions) -> None:
    for asset in defs.resolve_asset_graph().assets_defs if hasattr(defs, "resolve_asset_graph") else []:
        names = {key.to_user_string() for key in asset.keys}
        if not asset.is_executable or names <= {"state_snapshot", *GROUPS["operations"]}:
            continue
        assert isinstance(asset.partitions_def, dg.DailyPartitionsDefinition)
        assert asset.partitions_def.timezone == "UTC"
        assert asset.partitions_def.end_offset == 1
        assert asset.backfill_policy == dg.BackfillPolicy.single_run()


def test_jobs_schedules_and_sensors(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert {"archive_job", "compression_job", "retention_job"} <= {job.name for job in repository.get_all_jobs()}
    assert {
        (schedule.name, schedule.cron_schedule, schedule.execution_timezone) for schedule in repository.schedule_defs
    } == {
        ("archive_schedule", "*/5 * * * *", "UTC"),
        ("gap_backfill_schedule", "30 1 * * *", "UTC"),
        ("compression_schedule", "10 3 * * *", "UTC"),
        ("retention_schedule", "10 4 * * *", "UTC"),
        ("backup_schedule", "20 2 * * *", "UTC"),
        ("restore_drill_schedule", "20 5 * * 0", "UTC"),
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "memory_pressure_sensor",
        "pending_intake_sensor",
        "late_data_sensor",
        "health_sensor",
        "alert_sensor",
    }


def test_tables_show_their_columns_and_ages(defs: dg.Definitions) -> None:
    by_name = specs(defs)
    ages = ("hot window", "compressed after", "dropped after")
    assert [by_name["trade_data"].metadata[age] for age in ages] == ["1 h", "30 d", "never"]
    assert by_name["price_data"].metadata["dropped after"] == "1830 d"
    for dataset in DATASETS.values():
        schema = by_name[dataset.table].metadata["dagster/column_schema"]
        assert {column.name for column in schema.columns} == {*dataset.names, "batch_id"}
        for aggregate in dataset.aggregates:
            metadata = by_name[aggregate.name].metadata
            assert metadata["dagster/table_name"] == aggregate.name
            assert {column.name for column in metadata["dagster/column_schema"].columns} == set(aggregate.columns)
            assert set(metadata["dagster/column_lineage"].deps_by_column) == set(aggregate.columns)


def test_both_workspace_files_name_the_same_location() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert entry["python_module"] == {
        "module_name": project["code_location_target_module"],
        "location_name": project["code_location_name"],
    }


def test_the_instance_file_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.instance.config import dagster_instance_config

    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://nobody@localhost/x")
    config, _ = dagster_instance_config(str(ROOT / "trading_data"))
    assert config["telemetry"] == {"enabled": False}


def test_nothing_is_opened_or_started_by_importing() -> None:
    """With no variable set, no server running, and every connection refused; slow libraries are not loaded."""
    program = (
        "import socket\n"
        "def refuse(*_): raise SystemExit('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "import trading_data\n"
        "from trading_data.definitions import defs\n"
        "import sys; late = {'pandas', 'sqlalchemy', 'dagster_postgres', 'exchange_calendars'} & set(sys.modules)\n"
        "assert not late, f'{late} cost much time, and are needed when something runs'\n"
        "defs.get_repository_def()\n"
        "import os; assert not os.path.exists('.trading_data')\n"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=env, cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
