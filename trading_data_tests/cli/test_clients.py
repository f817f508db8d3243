"""`psql`, `redis-cli`, `archive`, `run` and `logs` as a user runs them: right address, arguments passed on, correct exit codes."""

import sys
from pathlib import Path

import pytest

from trading_data.cli.clients import libpq_environment, redis_cli_options, reply_lines
from trading_data.datasets import PRICE
from trading_data.first_day import settle_first_day
from trading_data_tests.cli.test_commands import run
from trading_data_tests.rig import Rig, bar, today

VENV = str(Path(sys.executable).parent)


def test_the_address_of_psql_is_in_its_environment() -> None:
    url = "postgresql+psycopg2://me:hunter%402@db:5433/my%20own?sslmode=require&connect_timeout=5&application_name=x"
    assert libpq_environment(url) == {
        "PGUSER": "me",
        "PGPASSWORD": "hunter@2",
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGDATABASE": "my own",
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "5",
        "PGAPPNAME": "x",
    }


@pytest.mark.parametrize(
    ("url", "options", "password"),
    [
        ("redis://127.0.0.1:6380/3", ["-h", "127.0.0.1", "-p", "6380", "-n", "3"], None),
        ("redis://me:hunter2@db", ["-h", "db", "-p", "6379", "--user", "me"], "hunter2"),
        ("unix:///run/redis.sock?db=2", ["-s", "/run/redis.sock", "-n", "2"], None),
        (
            "rediss://db:6380/0?ssl_ca_certs=/ca.pem",
            ["-h", "db", "-p", "6380", "--tls", "--cacert", "/ca.pem"],
            None,
        ),
    ],
)
def test_the_address_of_redis_cli_is_in_its_options_and_the_password_is_not(
    url: str, options: list[str], password: str | None
) -> None:
    assert redis_cli_options(url) == (options, {"REDISCLI_AUTH": password} if password else {})


def test_replies_are_shown_as_redis_cli_does() -> None:
    assert reply_lines([b"a", [1, None], b"\x1b[0m"]) == ["1) a", "2) 1) (integer) 1", "   2) (nil)", "3) \\x1b[0m"]
    assert reply_lines([]) == ["(empty array)"]


def test_psql_and_redis_cli_without_any_client_installed(rig: Rig) -> None:
    done = run("psql", "-Atc", "select 'it is', count(*) from price_data", PATH=VENV)
    assert (done.returncode, done.stdout) == (0, b"it is|0\n"), done.stderr
    assert run("psql", "-c", "select wrong", PATH=VENV).returncode == 1
    rig.client.set("there", "yes")
    assert run("redis-cli", "get", "there", PATH=VENV).stdout == b"yes\n"
    refused = run("redis-cli", "incr", "there", PATH=VENV)
    assert refused.returncode == 1
    assert b"(error) value is not an integer" in refused.stderr
    none = run("redis-cli", PATH=VENV)
    assert none.returncode == 1
    assert none.stderr.count(b"\n") == 1
    assert b"install one" in none.stderr


def test_archive_says_what_it_archived_and_run_what_it_ran(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(3)])
    done = run("archive")
    assert done.returncode == 0, done.stderr
    assert b"price_data: 3 entries archived: 3 inserted, 0 replaced" in done.stdout
    assert b"price_1d, price_1h, price_5m for 2026-11-20: run" in done.stdout  # these days waited for their aggregates
    assert rig.account(PRICE).inserted == 3
    assert rig.query("select count(*) from archive_refresh where aggregate = 'price_5m'") == [(0,)]
    again = run("archive")
    assert b"there was nothing to archive" in again.stdout
    assert run("run", "price_5m", "--start", "2026-11-19", "--end", "2026-11-21").returncode == 0
    unknown = run("run", "price_data", "--day", "1999-12-31")
    assert (unknown.returncode, b"1999-12-31 is no partition" in unknown.stderr) == (1, True)
    wrong = run("run", "price_6m")
    assert wrong.returncode == 1
    assert b"did you mean price_5m?" in wrong.stderr


def test_the_first_archive_run_of_a_home_takes_rows_from_before_its_first_day(rig: Rig) -> None:
    settle_first_day(rig.settings.home, [], today().date())
    rig.store.record_prices([bar("A")])
    done = run("archive")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"price_1d, price_1h, price_5m for 2026-11-20: run" in done.stdout


def test_an_archive_run_that_fails_ends_with_1_and_one_line(rig: Rig) -> None:
    done = run("archive", TRADING_DATA_REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"archive_job" in done.stderr
    assert b"does not answer" in done.stderr


def test_logs_of_one_and_of_all(tmp_path: Path) -> None:
    none = run("logs", TRADING_DATA_HOME=str(tmp_path))
    assert (none.returncode, none.stderr.count(b"\n")) == (1, 1)
    for name in ("redis", "daemon"):
        (tmp_path / "services" / name).mkdir(parents=True)
        (tmp_path / "services" / name / "log").write_text(f"one\ntwo of {name}\n")
    assert run("logs", "redis", "-n", "1", TRADING_DATA_HOME=str(tmp_path)).stdout == b"redis      two of redis\n"
    assert b"daemon     two of daemon" in run("logs", TRADING_DATA_HOME=str(tmp_path)).stdout
    assert run("logs", "none", TRADING_DATA_HOME=str(tmp_path)).returncode == 2
