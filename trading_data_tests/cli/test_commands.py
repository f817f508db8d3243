"""The command line as a user runs it: output, exit codes, one line for an error."""

import json
import os
import subprocess
import sys
from contextlib import closing
from io import BytesIO, StringIO
from pathlib import Path

import click
import pandas as pd
import psycopg2
import pytest
from sqlalchemy import make_url

from trading_data import __version__
from trading_data.cli.health import _may_be_switched
from trading_data.cli.main import _COMMANDS, group
from trading_data.datasets import PRICE
from trading_data.settings import Settings
from trading_data_tests.rig import Rig, bar, fill, measurement

RANGE = ["--start", "2026-11-20", "--end", "2026-11-21"]
HEADER = "symbol,timestamp,open,high,low,close,volume,source\n"


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    program = "from trading_data.cli.main import main; main()"
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, check=False)


def test_query_in_three_formats(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(3)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("B")])
    frames = [
        pd.read_csv(StringIO(run("query", "prices", *RANGE, "--format", "csv").stdout.decode())),
        pd.read_parquet(BytesIO(run("query", "prices", *RANGE, "--format", "parquet").stdout)),
    ]
    for frame in frames:
        assert frame["symbol"].tolist() == ["A", "A", "A", "B"]
        assert frame["tier"].tolist() == ["archive", "archive", "archive", "live"]
    table = run("query", "prices", "A", *RANGE, "--interval", "5m").stdout.decode().splitlines()
    assert len(table) == 2
    assert table[0].split() == ["symbol", "bucket", "open", "high", "low", "close", "volume", "tier"]
    assert run("query", "metrics", *RANGE).stdout == b"no rows\n"


def test_import_reaches_the_archive_like_live_data_and_twice_writes_nothing(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    good = "A,2026-11-20T15:00:00Z,1,2,0.5,1.5,10,file\n" + "A,2026-11-20T15:01:00Z,0.1,2,0.1,1.5,1e1,file\n"
    file.write_text(HEADER + good + "A,2026-11-20T15:02:00,1,2,1,1,1,file\n")
    for inserted, unchanged, quarantined, replayed in ((2, 0, 1, 0), (0, 2, 0, 1)):
        done = run("import", "prices", str(file))
        assert done.returncode == 0, done.stderr
        assert b"2 rows and 1 rejected one wait" in done.stdout
        (loaded,) = rig.load(PRICE)
        counts = (loaded.inserted, loaded.unchanged, loaded.quarantined, loaded.replayed)
        assert counts == (inserted, unchanged, quarantined, replayed)
    assert rig.query("select open, volume from price_data order by timestamp") == [(1.0, 10.0), (0.1, 10.0)]
    assert rig.query("select kind, journal from archive_quarantine") == [("no zone", str(file))]


def test_import_refuses_wrong_columns_before_anything_is_read(rig: Rig, tmp_path: Path) -> None:
    good, wrong = tmp_path / "good.csv", tmp_path / "wrong.csv"
    good.write_text(HEADER)
    wrong.write_text("symbol,date,open\n")
    done = run("import", "prices", str(good), str(wrong))
    assert done.returncode == 1
    output = done.stderr.decode()
    assert output.startswith("trading-data: ")
    assert output.count("\n") == 1
    for name in ("wrong.csv", "timestamp", "date"):
        assert name in output
    assert rig.intake.pending("price") == []


def test_status(rig: Rig) -> None:
    rig.store.record_trades([fill()])
    rig.store.record_metrics([measurement()])
    status = json.loads(run("status", "--json").stdout)
    assert status["version"] == __version__
    assert status["datasets"]["trade"]["undrained"] == 1
    assert status["datasets"]["price"]["newest"] is None
    assert status["archive"]["policy_drift"] == []
    table = run("status", COLUMNS="200").stdout.decode()
    assert "metrics" in table
    assert "TimescaleDB" in table


def test_policy_jobs_beside_dagster_are_drift(rig: Rig) -> None:
    rig.query("select add_retention_policy('price_data', interval '90 days')")
    try:
        (line,) = json.loads(run("status", "--json").stdout)["archive"]["policy_drift"]
    finally:
        rig.query("select remove_retention_policy('price_data')")
    assert "policy_retention on price_data" in line


def test_migrate_twice(rig: Rig) -> None:
    done = run("migrate")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"already has the newest schema" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "env", "code", "output"),
    [
        (["status"], {"TRADING_DATA_REDIS_URL": "redis://127.0.0.1:1/0"}, 1, "does not answer"),
        (["status"], {"TRADING_DATA_START": "soon"}, 1, "TRADING_DATA_START must be a day like 2000-01-01, not 'soon'"),
        (["query", "prices", "--start", "2026-11-20", "--end", "2026-11-21T10:00:00"], {}, 1, "has no time zone"),
        (["query", "prices", "--interval"], {}, 2, "requires an argument"),
        (["query", "quotes", *RANGE], {}, 2, "is not one of"),
        (["sttus"], {}, 2, "Did you mean 'status'"),
        (["import", "prices", "missing.csv"], {}, 1, "missing.csv"),
    ],
)
def test_exit_codes(rig: Rig, arguments: list[str], env: dict[str, str], code: int, output: str) -> None:
    done = run(*arguments, **env)
    assert done.returncode == code
    assert output in done.stderr.decode()
    if code == 1:
        assert done.stderr.count(b"\n") == 1
    assert rig


def test_no_server_at_all_says_what_to_do(tmp_path: Path) -> None:
    unset = {"TRADING_DATA_REDIS_URL": "", "TRADING_DATA_TIMESCALE_URL": "", "DAGSTER_POSTGRES_URL": ""}
    done = run("status", **unset, TRADING_DATA_HOME=str(tmp_path))
    assert done.returncode == 1
    assert b"trading-data services start" in done.stderr


def test_help_is_quick_to_import() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from trading_data.cli.main import group; "
        "assert CliRunner().invoke(group, ['--version']).exit_code == 0; assert not {'dagster', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_list_of_commands_says_what_each_command_says_and_imports_none() -> None:
    for name, (_, summary) in _COMMANDS.items():
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert command.get_short_help_str(200).rstrip(".") == summary
    program = (
        "import sys; from click.testing import CliRunner; from trading_data.cli.main import group; "
        "assert 'archive' in CliRunner().invoke(group, ['--help']).output; "
        "assert not {'numpy', 'redis', 'psycopg2', 'sqlalchemy', 'pyarrow', 'rich', 'dagster'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("command", [["status"], ["query", "prices", *RANGE]])
def test_what_answers_at_once_imports_no_dagster(rig: Rig, command: list[str]) -> None:
    rig.store.record_prices([bar()])
    program = (
        "import sys; from click.testing import CliRunner; from trading_data.cli.main import group; "
        f"assert CliRunner().invoke(group, {command!r}).exit_code == 0; "
        "assert not {'dagster', 'exchange_calendars', 'scipy', 'trading_data.orchestration'} & set(sys.modules)"
    )
    env = {**os.environ, "DAGSTER_HOME": ""}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)


def test_dagster_is_imported_only_if_a_schedule_may_be_switched(servers: Settings) -> None:
    url = make_url(str(servers.dagster_url))
    own = url.set(database="switched").render_as_string(hide_password=False)
    with (
        closing(psycopg2.connect(str(servers.dagster_url).replace("+psycopg2", ""))) as admin,
        admin.cursor() as cursor,
    ):
        admin.autocommit = True
        cursor.execute("create database switched")
        try:
            assert _may_be_switched(own)  # nothing of Dagster's is there, so it is unknown
            with closing(psycopg2.connect(own.replace("+psycopg2", ""))) as made, made.cursor() as inside:
                made.autocommit = True
                inside.execute("create table instigators (status text)")
                inside.execute("insert into instigators values ('DECLARED_IN_CODE')")
                assert not _may_be_switched(own)
                inside.execute("insert into instigators values ('STOPPED')")
            assert _may_be_switched(own)
        finally:
            cursor.execute("drop database switched with (force)")
    assert _may_be_switched(None)
