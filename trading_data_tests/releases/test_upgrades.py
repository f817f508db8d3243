"""What earlier releases left in the database, the intake and Redis goes on in this one, from any of their schemas."""

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.sql import SQL, Identifier
from sqlalchemy import make_url

from trading_data.archive.aggregates.compare import differences
from trading_data.archive.schema import migrate as migrate_module
from trading_data.archive.schema.migrate import check_schema, migrate, migrations
from trading_data.archive.verify.run import verify
from trading_data.datasets import DATASETS
from trading_data.local.servers import Stack
from trading_data.settings import TIMESCALE_URL
from trading_data.times import DAY
from trading_data_tests.rig import MOMENT, Rig

GIVEN = os.environ.get(TIMESCALE_URL, "")
STATES = sorted(Path(__file__).parent.glob("v*/state.json"))
FIRST_WITH_COVERAGE = "005_coverage.sql"


@pytest.fixture
def older(rig: Rig) -> Iterator[Rig]:
    """A rig with an empty database: beside the others on a given server, or with an engine of its own."""
    folder = Path(tempfile.mkdtemp(prefix="trading_data_tests_"))
    url = (
        make_url(GIVEN).set(drivername="postgresql+psycopg2", database=f"trading_data_test_{os.getpid()}_older")
        if GIVEN
        else None
    )
    stack = Stack(replace(rig.settings, timescale_url=None, home=folder))
    try:
        if url is not None:
            _run(GIVEN, SQL("create database {}").format(Identifier(str(url.database))))
            settings = replace(rig.settings, timescale_url=url.render_as_string(hide_password=False))
        else:
            settings = replace(rig.settings, timescale_url=stack.start().timescale_url)
        made = Rig(settings)
        yield made
        made.close()
    finally:
        if url is not None:
            _run(GIVEN, SQL("drop database {} with (force)").format(Identifier(str(url.database))))
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _run(url: str, statement: Any) -> None:
    connection = psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql", 1))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def _put_back(rig: Rig, state: dict[str, Any], known: set[str]) -> None:
    """The state as the release left it, as far as a schema with the tables `known` can hold it."""
    for name, rows in state["tables"].items():
        if name in known:
            insert = SQL(
                "insert into {0} overriding system value select * from jsonb_populate_recordset(null::{0}, %s::jsonb)"
            )
            with rig.archive.transaction() as cursor:
                cursor.execute(insert.format(Identifier(name)), (json.dumps(rows),))
    rig.query("select setval('archive_batch', 1000)")
    rig.query(
        "select setval(pg_get_serial_sequence(table_name, column_name), 1000) from information_schema.columns "
        "where table_schema = current_schema() and is_identity = 'YES'"
    )
    rig.query("select compress_chunk(c, true) from show_chunks('price_data') as c")
    for dataset in DATASETS.values():
        for aggregate in dataset.aggregates:
            with rig.archive.autocommit() as cursor:
                cursor.execute("call refresh_continuous_aggregate(%s, '2026-11-01', '2026-12-01')", (aggregate.name,))
    for key, content in state["redis"].items():
        if "hash" in content:
            rig.client.hset(key, mapping=content["hash"])
        for entry_id, parts in content.get("stream", []):
            rig.client.xadd(key, dict(zip(parts[::2], parts[1::2], strict=True)), id=entry_id)
    for name, data in state["intake"].items():
        path = Path(rig.settings.intake_uri) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))


@pytest.mark.parametrize("path", STATES, ids=[path.parent.name for path in STATES])
def test_no_migration_of_a_release_is_ever_changed(path: Path) -> None:
    known = {one.name: one.sha256 for one in migrations()}
    assert known.items() >= json.loads(path.read_text())["migrations"].items()


@pytest.mark.parametrize("path", STATES, ids=[path.parent.name for path in STATES])
@pytest.mark.parametrize("before", [None, FIRST_WITH_COVERAGE])
def test_an_older_database_intake_and_redis_go_on(
    older: Rig, path: Path, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`before` None is the release's own schema; a name is a schema that ends before that migration."""
    state, rig = json.loads(path.read_text()), older
    every = migrations()
    old = [one for one in every if one.name in state["migrations"] and (before is None or one.name < before)]
    with monkeypatch.context() as patch:
        patch.setattr(migrate_module, "migrations", lambda: old)
        assert len(migrate(rig.archive)) == len(old)
    tables = rig.query("select table_name from information_schema.tables where table_schema = current_schema()")
    _put_back(rig, state, {name for (name,) in tables})
    assert migrate(rig.archive) == [one.name for one in every if one not in old]
    check_schema(rig.archive)

    held = sum(len(state["tables"][dataset.table]) for dataset in DATASETS.values())
    assert rig.query("select sum(rows) from archive_coverage") == [(held,)]
    loaded = {name: sum(one.offered for one in rig.load(dataset)) for name, dataset in DATASETS.items()}
    assert loaded == {"price": 6, "trade": 1, "metrics": 1}
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
        for aggregate in dataset.aggregates:
            assert differences(rig.archive, dataset, aggregate, MOMENT - DAY, MOMENT + DAY) == []
    wrong = [one for one in verify(rig.client, rig.archive, rig.intake, deep=True) if not one.ok]
    assert wrong == []
    assert rig.query("select count(*), count(distinct symbol) from price_data") == [(46, 3)]
    assert rig.query("select count(*) from metrics_data") == [(7,)]
