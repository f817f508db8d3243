"""The servers that all tests share, and a clean rig for each test.

Belongs here: starting, cleaning and naming servers. Does not: helpers that tests call (`rig`).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
import redis
from sqlalchemy import make_url

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.live.connection import connect
from trading_data.local.servers import Stack
from trading_data.operations.status import archive_version, live_version
from trading_data.settings import DAGSTER_URL, REDIS_URL, TIMESCALE_URL, Settings
from trading_data_tests.local.beside import RunningDemo
from trading_data_tests.rig import Rig

if TYPE_CHECKING:
    import dagster as dg


class Servers:
    """Started with the session's first use, stopped with its end."""

    def __init__(self) -> None:
        self.home = Path(tempfile.gettempdir()) / f"trading_data_tests_{os.getpid()}"
        home = self.home
        self.given = Settings.from_env()
        self.stack = Stack(replace(self.given, home=home, intake_uri=str(home / "intake")))
        self.settings: Settings | None = None
        self.made_database: str | None = None

    def start(self) -> Settings:
        if self.settings is None:
            started = self.stack.start()
            if self.given.redis_url:
                _refuse_unless_empty(self.given.redis_url)
            if self.given.timescale_url:
                started = replace(started, timescale_url=self._own_database(self.given.timescale_url))
            self.settings = started
            migrate(Archive(started.require_timescale_url()))
        return self.settings

    def stop(self) -> None:
        if self.made_database is not None and self.given.timescale_url:
            _run(self.given.timescale_url, f'drop database if exists "{self.made_database}" with (force)')
        self.stack.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        self.settings = None

    def versions(self) -> str:
        settings = self.start()
        live = live_version(connect(settings.require_redis_url()))
        return f"{live}; {archive_version(Archive(settings.require_timescale_url()))}"

    def _own_database(self, url: str) -> str:
        """A database of this session's own on the given server: nothing that is there is touched."""
        self.made_database = f"trading_data_test_{os.getpid()}"
        _run(url, f'create database "{self.made_database}"')
        return make_url(url).set(database=self.made_database).render_as_string(hide_password=False)


def _run(url: str, statement: str) -> None:
    connection = psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql", 1))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def _refuse_unless_empty(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        if client.dbsize():
            pytest.exit(f"{REDIS_URL} names a server with keys in it, and the tests flush it: name an empty database")


_KEY = pytest.StashKey[Servers]()
_DEMO = pytest.StashKey[RunningDemo]()
_VERSIONS = pytest.StashKey[str]()


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is one of several processes that share the tests; each has servers of its own."""
    return hasattr(config, "workerinput")


_LONG = (
    "system/test_demo", "system/test_up", "system/test_remedies", "system/test_grpc", "crash/test_matrix", "crash/",
    "backup/", "worlds/", "releases/", "services/", "archive/test_fills", "orchestration/", "history/", "alerts/", "aging/",
    "test_adding_a_dataset", "cli/", "reader/", "bench/", "test_real_", "archive/test_losses", "archive/test_sources",
    "archive/test_verify", "archive/test_quarantine", "archive/test_load", "archive/test_acceptance", "intake/test_drain",
    "test_docs", "doctor/", "analytics/", "aggregates/", "feed/", "test_first_day", "datasets/test_rules",
    "security/test_secrets", "sessions/test_calendar", "health/test_flow", "intake/test_snapshot", "intake/test_accounted",
    "live/test_cluster", "archive/test_coverage", "archive/test_trim", "archive/test_known", "archive/test_odd_values",
)  # fmt: skip
"""Files whose tests take long, the longest first: workers begin with these, so that what begins last is short."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick`, for the inner loop."""
    parser.addoption("--quick", action="store_true", help="leave out the tests that take long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In workers the longest files first; else the tests of the whole system last, and that of the demo after all others."""

    def length(item: pytest.Item) -> int:
        places = [place for place, name in enumerate(_LONG) if f"trading_data_tests/{name}" in str(item.path)]
        return min(places, default=len(_LONG))

    if config.option.quick:
        left_out = [item for item in items if length(item) < len(_LONG)]
        items[:] = [item for item in items if length(item) == len(_LONG)]
        config.hook.pytest_deselected(items=left_out)
    if _is_worker(config):
        items.sort(key=length)
    else:
        items.sort(key=lambda item: ("/system/" in str(item.path)) + ("test_demo" in item.path.name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the demo now if it is among the tests: it takes minutes, most of which it waits."""
    if session.config.option.collectonly or _is_worker(session.config):
        return
    if any(item.path.name == "test_demo.py" for item in session.items):
        session.config.stash[_DEMO] = RunningDemo()


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> RunningDemo:
    """The demo, begun with the session, or now."""
    stash = request.config.stash
    if _DEMO not in stash:
        stash[_DEMO] = RunningDemo()
    return stash[_DEMO]


def pytest_configure(config: pytest.Config) -> None:
    """Point the tests at servers; nothing is started yet."""
    config.stash[_KEY] = Servers()
    if _is_worker(config) and (os.environ.get(REDIS_URL) or os.environ.get(TIMESCALE_URL)):
        pytest.exit("several processes cannot share the servers that URLs name: leave -n out")
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


def pytest_report_header(config: pytest.Config) -> str:
    """Which servers the tests run against; where several processes share the tests, one of them says it at the end."""
    if config.option.collectonly:
        return "servers: not started"
    processes = getattr(config.option, "numprocesses", None)
    if processes:
        return f"servers: a set of them for each of {processes} processes"
    return f"servers: {config.stash[_KEY].versions()}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands over which servers it had."""
    servers = session.config.stash[_KEY]
    if _is_worker(session.config) and servers.settings is not None:
        session.config.workeroutput["servers"] = servers.versions()  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Keep what a worker has handed over."""
    found = getattr(node, "workeroutput", {}).get("servers")
    if found:
        node.config.stash[_VERSIONS] = found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which servers the workers had."""
    if _VERSIONS in config.stash:
        terminalreporter.write_line(f"servers: {config.stash[_VERSIONS]}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    demo = config.stash.get(_DEMO, None)
    if demo is not None:
        demo.end()
    servers = config.stash.get(_KEY, None)
    if servers is not None and servers.settings is not None:
        servers.stop()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Settings:
    """The settings of the running servers."""
    return request.config.stash[_KEY].start()


@pytest.fixture
def rig(servers: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Both tiers, empty, with an intake of the test's own; the environment points at them."""
    settings = replace(
        servers, home=tmp_path, intake_uri=str(tmp_path / "intake"), backup_uri=str(tmp_path / "backups")
    )
    for name, value in {
        REDIS_URL: settings.redis_url,
        TIMESCALE_URL: settings.timescale_url,
        DAGSTER_URL: settings.dagster_url,
        "TRADING_DATA_HOME": str(tmp_path),
        "TRADING_DATA_INTAKE_URI": settings.intake_uri,
    }.items():
        monkeypatch.setenv(name, str(value))
    made = Rig(settings)
    made.clean()
    yield made
    made.close()


@pytest.fixture
def instance() -> Iterator["dg.DagsterInstance"]:
    """Dagster's storage in memory: in files a run costs three times as much. On PostgreSQL it is in `system` and `security`."""
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as made:
        yield made
