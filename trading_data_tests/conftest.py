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

import hypothesis
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
from trading_data_tests.local.demo_process import RunningDemo
from trading_data_tests.rig import Rig

if TYPE_CHECKING:
    import dagster as dg


hypothesis.settings.register_profile("trading_data", deadline=None)
hypothesis.settings.load_profile("trading_data")


class Servers:
    """Both tiers and Dagster's storage: started on first use, stopped at the end of the session."""

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
        """A new database on the given server, so that existing data are not touched."""
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
            pytest.exit(f"{REDIS_URL} names a server with keys in it, and the tests empty it: name an empty database")


_KEY = pytest.StashKey[Servers]()
_DEMO = pytest.StashKey[RunningDemo]()
_VERSIONS = pytest.StashKey[str]()


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is one of several processes that share the tests, each with its own servers."""
    return hasattr(config, "workerinput")


_LONG = (
    "local/test_demo", "local/test_up", "local/test_remedies", "local/test_grpc", "crash/test_matrix", "crash/",
    "operations/backup/", "worlds/", "releases/", "local/", "archive/test_fills", "orchestration/", "calendars/",
    "sources/vendors/", "operations/alerts/", "operations/maintenance/", "test_adding_a_dataset", "cli/", "reader/", "bench/",
    "test_real_", "archive/test_losses", "archive/test_sources", "archive/test_verify", "archive/test_quarantine",
    "archive/test_load", "archive/test_acceptance", "intake/test_drain", "test_docs", "operations/doctor/", "analytics/",
    "archive/aggregates/", "sources/feeds/", "test_first_day", "datasets/test_rules", "security/test_secrets",
    "operations/health/test_pipeline", "intake/test_snapshot", "intake/test_accounted", "live/test_cluster",
    "archive/test_coverage", "archive/test_trim", "archive/test_known", "archive/test_odd_values",
)  # fmt: skip
"""Files and folders whose tests take long, the longest first: a worker that begins with them ends with short ones."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--quick`, for the inner loop."""
    parser.addoption("--quick", action="store_true", help="skip the files whose tests take long")


def _place(path: Path) -> int:
    """The place of a file or folder in `_LONG`; its length if it is not there."""
    text = f"{path}/" if path.is_dir() else str(path)
    return min((index for index, name in enumerate(_LONG) if f"trading_data_tests/{name}" in text), default=len(_LONG))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--quick`, do not even import the files whose tests take long."""
    return True if config.option.quick and _place(collection_path) < len(_LONG) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests: the longest files first in workers; else those of the embedded servers last, with the demo at the end."""
    if _is_worker(config):
        items.sort(key=lambda item: _place(item.path))
    else:
        items.sort(key=lambda item: ("/local/" in str(item.path)) + ("test_demo" in item.path.name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the demo now if it is among the tests: it takes minutes, most of them waiting."""
    if session.config.option.collectonly or _is_worker(session.config):
        return
    if any(item.path.name == "test_demo.py" for item in session.items):
        session.config.stash[_DEMO] = RunningDemo()


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> RunningDemo:
    """The demo, started at the beginning of the session, or now."""
    stash = request.config.stash
    if _DEMO not in stash:
        stash[_DEMO] = RunningDemo()
    return stash[_DEMO]


def pytest_configure(config: pytest.Config) -> None:
    """Choose the servers; none is started yet."""
    config.stash[_KEY] = Servers()
    if _is_worker(config) and (os.environ.get(REDIS_URL) or os.environ.get(TIMESCALE_URL)):
        pytest.exit("several processes cannot share the servers given by URL: leave out -n")
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


def pytest_report_header(config: pytest.Config) -> str:
    """The servers' versions; with several processes only their number, and one of them reports its versions at the end."""
    if config.option.collectonly:
        return "servers: not started"
    processes = getattr(config.option, "numprocesses", None)
    if processes:
        return f"servers: one set for each of {processes} processes"
    return f"servers: {config.stash[_KEY].versions()}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker sends the versions of its servers."""
    servers = session.config.stash[_KEY]
    if _is_worker(session.config) and servers.settings is not None:
        session.config.workeroutput["servers"] = servers.versions()  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Keep the versions that a worker has sent."""
    versions = getattr(node, "workeroutput", {}).get("servers")
    if versions:
        node.config.stash[_VERSIONS] = versions


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the versions of the workers' servers."""
    if _VERSIONS in config.stash:
        terminalreporter.write_line(f"servers: {config.stash[_VERSIONS]}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the demo and the servers."""
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
    """Both tiers, empty, and a new intake; the environment names them."""
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
    rig = Rig(settings)
    rig.clean()
    yield rig
    rig.close()


@pytest.fixture
def instance() -> Iterator["dg.DagsterInstance"]:
    """A Dagster instance in memory: in files a run takes three times as long. Tests in `local` and `security` use PostgreSQL."""
    import dagster as dg  # takes two seconds to import

    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
