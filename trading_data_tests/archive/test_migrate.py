"""Migrations are applied once, in order, and never after a change; the tables are as declared."""

from pathlib import Path
from shutil import copytree

import pytest

from trading_data.archive.schema import migrate as migrate_module
from trading_data.archive.schema.migrate import check_schema, migrate
from trading_data.archive.sql import REPORTED, folder
from trading_data.datasets import DATASETS
from trading_data.errors import SchemaError
from trading_data_tests.rig import Rig


def test_running_it_again_changes_nothing(rig: Rig) -> None:
    before = rig.query("select * from archive_migration order by name")
    assert migrate(rig.archive) == []
    assert rig.query("select * from archive_migration order by name") == before
    check_schema(rig.archive)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "sql"
    copytree(folder(), copy)
    monkeypatch.setattr(migrate_module, "folder", lambda: copy)
    return copy / "incremental"


def test_a_changed_applied_file_is_an_error_that_names_it(rig: Rig, copied: Path) -> None:
    file = copied / "002_price.sql"
    file.write_text(file.read_text() + "\n-- harmless")
    with pytest.raises(SchemaError, match=r"sql/incremental/002_price\.sql was changed after it had been applied"):
        migrate(rig.archive)


def test_a_newer_schema_is_refused(rig: Rig, copied: Path) -> None:
    (copied / "004_metrics.sql").unlink()
    with pytest.raises(SchemaError, match=r"004_metrics\.sql is applied to .*, but this release does not have it"):
        check_schema(rig.archive)


def test_a_missing_file_is_named(rig: Rig, copied: Path) -> None:
    (copied / "999_more.sql").write_text("select 1")
    with pytest.raises(SchemaError, match=r"999_more\.sql is not applied"):
        check_schema(rig.archive)


def test_a_file_that_fails_leaves_nothing(rig: Rig, copied: Path) -> None:
    (copied / "998_half.sql").write_text("create table half_done (a int); select 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        migrate(rig.archive)
    assert rig.query("select to_regclass('half_done')") == [(None,)]
    assert rig.query("select count(*) from archive_migration where name = '998_half.sql'") == [(0,)]


def test_tables_and_views_are_as_declared(rig: Rig) -> None:
    for dataset in DATASETS.values():
        columns = rig.query("select column_name from information_schema.columns where table_name = %s", dataset.table)
        assert {name for (name,) in columns} == {*dataset.names, "batch_id", *([REPORTED] if dataset.identity else [])}
        key = rig.query(
            """select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
               where i.indrelid = %s::regclass and i.indisprimary order by array_position(i.indkey, a.attnum)""",
            dataset.table,
        )
        assert tuple(name for (name,) in key) == dataset.key
        ((interval,),) = rig.query(
            "select time_interval from timescaledb_information.dimensions where hypertable_name = %s", dataset.table
        )
        assert interval.days == 1
        settings = rig.query(
            """select segmentby, orderby from timescaledb_information.hypertable_columnstore_settings
               where hypertable = %s::regclass""",
            dataset.table,
        )
        assert [(segment, order.strip('"').split()[0].strip('"')) for segment, order in settings] == [
            (dataset.segment_by, dataset.order_by)
        ]
        for aggregate in dataset.aggregates:
            columns = rig.query(
                """select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped
                   order by attnum""",
                aggregate.name,
            )
            assert {name for (name,) in columns} == set(aggregate.columns)
