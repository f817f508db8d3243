"""Private names of Dagster are imported in one module only, and exist in this release."""

import ast
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

import trading_data
from trading_data.orchestration import private
from trading_data_tests.rig import local_instance

ROOT = Path(trading_data.__file__).parent


def private_imports(path: Path) -> list[str]:
    """Modules of Dagster with an underscore in their path that a file imports."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found += [name for name in names if name.startswith("dagster") and "._" in name]
    return found


def test_they_are_imported_in_one_module_alone() -> None:
    found = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if private_imports(path)}
    assert found == {"orchestration/private.py"}


def test_each_is_what_it_is_used_for(tmp_path: Path) -> None:
    assert {"SUCCEEDED", "FAILED"} <= set(private.AssetCheckExecutionRecordStatus.__members__)
    assert {"RUNNING", "STOPPED", "DECLARED_IN_CODE"} <= set(private.InstigatorStatus.__members__)
    assert {"SENSOR", "SCHEDULE"} <= set(private.InstigatorType.__members__)
    assert private.WILL_RETRY_TAG == "dagster/will_retry"
    assert private.TURNS_NOTHING_GREEN == "__source_asset_observation__"
    (tmp_path / "dagster.yaml").write_text("run_queue: {max_concurrent_runs: many}\nnothing: 1\n")
    with pytest.raises((dg.DagsterError, private.CheckError)):
        dg.DagsterInstance.from_config(str(tmp_path))
    tables = private.event_tables()
    (tmp_path / "home").mkdir()
    with local_instance(tmp_path / "home") as instance:
        assert isinstance(instance.event_log_storage, tables.storage)
    for table, columns in (
        (tables.events, {"id", "timestamp", "event", "dagster_event_type", "asset_key", "partition"}),
        (
            tables.checks,
            {"id", "asset_key", "check_name", "execution_status", "evaluation_event_storage_id", "create_timestamp"},
        ),
        (tables.tags, {"id", "event_id", "event_timestamp"}),
    ):
        assert columns <= set(table.c.keys())


def test_each_storage_in_postgresql_keeps_its_engine_where_it_is_looked_for() -> None:
    from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

    for storage in (PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage):
        assert "_engine" in storage.__init__.__code__.co_names
    assert private.engine_of(SimpleNamespace(_engine=1)) == 1
