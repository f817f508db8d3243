"""The embedded TimescaleDB: its features, after a restart, in a dump, and after it was killed."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from trading_data.local.postgres import postgres_programs
from trading_data.local.record import wait_until
from trading_data.local.timescale import Timescale
from trading_data_tests.local.conftest import connect, first_value

SCHEMA = """
CREATE TABLE bars (symbol text, time timestamptz NOT NULL, close float8, PRIMARY KEY (symbol, time));
SELECT create_hypertable('bars', 'time', chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
ALTER TABLE bars SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'symbol', timescaledb.orderby = 'time');
INSERT INTO bars SELECT 'S' || n % 3, TIMESTAMPTZ '2026-01-05 00:00Z' + n * INTERVAL '1 minute', n
FROM generate_series(0, 4319) n;
"""
HOURLY = """
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous, timescaledb.materialized_only) AS
SELECT symbol, time_bucket('1 hour', time) AS bucket, count(*) AS bars, sum(close) AS total
FROM bars GROUP BY 1, 2 WITH NO DATA
"""
DAILY = """
CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous, timescaledb.materialized_only) AS
SELECT symbol, time_bucket('1 day', bucket) AS day, sum(bars) AS bars, sum(total) AS total
FROM hourly GROUP BY 1, 2 WITH NO DATA
"""
SUM = "SELECT count(*) || ' ' || sum(close) FROM bars"
DAYS = "SELECT sum(bars) || ' ' || sum(total) FROM daily"


@pytest.fixture
def server(home: Path, empty_database: Path) -> Iterator[Timescale]:
    server = Timescale(shutil.copytree(empty_database, home / "timescale"))
    server.start()
    yield server
    server.stop()


def run(server: Timescale, *statements: str) -> None:
    with closing(connect(server.url() or "")) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def value(server: Timescale, sql: str) -> object:
    with closing(connect(server.url() or "")) as connection:
        return first_value(connection, sql)


def test_compressed_and_aggregated_rows_survive_a_restart_and_a_dump(
    server: Timescale, home: Path, empty_database: Path
) -> None:
    run(server, SCHEMA, HOURLY, DAILY)
    run(
        server,
        *[f"CALL refresh_continuous_aggregate('{name}', '2026-01-05', '2026-01-08')" for name in ("hourly", "daily")],
    )
    before = value(server, SUM)
    assert before == value(server, DAYS) == "4320 9329040"
    run(server, "SELECT compress_chunk(c) FROM show_chunks('bars') c")
    assert value(server, "SELECT number_compressed_chunks FROM hypertable_columnstore_stats('bars')") == 3
    server.stop()
    server.start()
    assert value(server, SUM) == value(server, DAYS) == before
    run(server, "INSERT INTO bars VALUES ('S9', '2026-01-06 12:00Z', 1)")
    run(server, "SELECT decompress_chunk(c, true) FROM show_chunks('bars') c")
    assert value(server, SUM) == "4321 9329041"

    copy = Timescale(shutil.copytree(empty_database, home / "copy"))
    copy.start()
    dump = home / "dump"
    dsn, copy_dsn = ((one_server.url() or "").replace("+psycopg2", "") for one_server in (server, copy))
    subprocess.run([postgres_programs() / "pg_dump", "-Fc", "-f", dump, dsn], check=True, capture_output=True)
    run(copy, "SELECT timescaledb_pre_restore()")
    subprocess.run([postgres_programs() / "pg_restore", "-d", copy_dsn, dump], check=True, capture_output=True)
    run(copy, "SELECT timescaledb_post_restore()")
    assert value(copy, SUM) == "4321 9329041"
    assert value(copy, DAYS) == before
    run(copy, "INSERT INTO bars VALUES ('S9', '2026-01-06 12:01Z', 1)")
    copy.stop()


def test_when_the_engine_dies_so_does_the_process_with_the_reason_in_its_log(server: Timescale) -> None:
    run(server, "CREATE TABLE kept (a int)", "INSERT INTO kept VALUES (1)")
    with pytest.raises(psycopg2.Error):
        # A conversion that this build promises and does not have.
        value(server, "SELECT convert_to('é', 'LATIN1')")
    assert wait_until(server.died, 10)
    assert not server.alive()
    assert "the engine died: TypeError" in server.log_end()
    server.start()
    assert value(server, "SELECT sum(a) FROM kept") == 1


def test_the_log_of_changes_does_not_grow_without_end(server: Timescale) -> None:
    run(server, "CREATE TABLE large (a int, b text)")
    fill = "INSERT INTO large SELECT n, repeat('z', 500) FROM generate_series(1, 50000) n"
    for _ in range(8):
        run(server, fill, "TRUNCATE large")
    size = sum(file.stat().st_size for file in (server.data / "pg_wal").iterdir())
    assert size < 200 << 20
