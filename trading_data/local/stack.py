"""`System`: everything that `trading-data up` starts, in the order of dependency.

Belongs here: order, environment, the files that Dagster reads, and reloading the code location when older data move the
first day. Does not: printing, and waiting for Ctrl-C.
"""

import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.archive.verify.ledger import days_with_chunks
from trading_data.errors import ServerError
from trading_data.first_day import first_day, settle_first_day
from trading_data.local.process import ServerProcess, free_port
from trading_data.local.processes import LOCATION, CodeServer, Daemon, Feed, Webserver
from trading_data.local.record import try_lock
from trading_data.local.servers import Service, Stack
from trading_data.settings import ARCHIVE_CRON, HEALTH_SCHEDULE, INTAKE_URI, START, UI_URL, Settings, without_secrets
from trading_data.times import now

_DAGSTER_YAML = Path(__file__).resolve().parents[1] / "dagster.yaml"


class FirstDayFollower:
    """Reloads the code location in a thread when older data have moved the home's first day, so that Dagster shows the days."""

    def __init__(self, home: Path, reload: Callable[[], str]) -> None:
        """Dagster shows the days from the present first day of `home`. `reload` returns an error text, or an empty one."""
        self._home, self._reload = home, reload
        self._shown = first_day(home)
        self._errors: list[str] = []
        self._worker: threading.Thread | None = None

    def text(self) -> str:
        """The outcome of a reload, once; empty otherwise. Never waits."""
        if self._worker is not None:
            if self._worker.is_alive():
                return ""
            self._worker = None
            return self._outcome(self._errors.pop())
        day = first_day(self._home)
        if day is not None and day != self._shown:
            self._shown = day
            self._worker = threading.Thread(target=lambda: self._errors.append(self._reload()), daemon=True)
            self._worker.start()
        return ""

    def _outcome(self, error: str) -> str:
        if error:
            return (
                f"older rows arrived, but Dagster does not show their partitions yet ({error}): press Reload on Dagster's "
                "page Deployment; the rows themselves are safe"
            )
        return f"older rows arrived: Dagster's partitions begin on {self._shown} now"


class System:
    """Servers, Dagster and a feed in one home."""

    def __init__(
        self,
        settings: Settings,
        *,
        port: int,
        feed: Sequence[str] | None,
        redis_maxmemory: str = "2gb",
        health: bool = True,
        archive_cron: str | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            settings: home and URLs; a server without a URL is embedded.
            port: of the web server; 0 for any free one.
            feed: options of `python -m trading_data.sources.feeds`, or None for no feed.
            redis_maxmemory: memory limit of the embedded live tier.
            health: measure both tiers every minute, which adds measurements to the journal.
            archive_cron: cron expression of `archive_schedule`; None for the one of the environment.
        """
        self.settings = settings
        self.stack = Stack(settings, redis_maxmemory=redis_maxmemory)
        self._port, self._feed, self._health, self._cron = port or free_port(), feed, health, archive_cron
        self._processes: list[ServerProcess] = []
        self._claim: int | None = None
        self._follower: FirstDayFollower | None = None

    @property
    def page(self) -> str:
        """The URL of Dagster's web server."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def dagster_home(self) -> Path:
        """Dagster's home folder."""
        return self.settings.home / "dagster"

    def start(self, progress: Callable[[str], None]) -> Settings:
        """Start everything; returns the settings with all URLs.

        Raises:
            ServerError: something could not be started; everything started before is stopped again. Or another program runs
                this home, and is left alone.
            TradingDataError: the schema could not be applied.
        """
        self._claim = _claimed(self.settings.home / "services")
        try:
            self._clear_leftovers()
            _refuse_taken_port(self._port)
        except BaseException:
            self._release_home()
            raise
        try:
            self.settings = self.stack.start(progress)
            archive = Archive(self.settings.require_timescale_url())
            migrate(archive, progress)
            if not os.environ.get(START):
                settle_first_day(self.settings.home, days_with_chunks(archive), now().date())
            self._start_dagster(progress)
            if self._feed is not None:
                self._start(Feed(self._folder("feed"), self.env(), options=self._feed), progress)
        except BaseException:
            self.stop()
            raise
        return self.settings

    def stop(self) -> None:
        """Stop everything of this home, the servers last. Does nothing if `start` was refused."""
        if self._claim is None:
            return
        if self._processes:  # all at once: each resumes its work after the next start
            with ThreadPoolExecutor(len(self._processes)) as pool:
                for stop in [pool.submit(process.stop) for process in self._processes]:
                    stop.result()
        self._processes = []
        self.stack.stop()
        self._release_home()

    def _release_home(self) -> None:
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def dead(self) -> list[tuple[str, str]]:
        """Name and end of the log of each server and process that died, except the feed. Fast enough to poll."""
        return [*self.stack.dead(), *((process.title, process.log_end()) for process in self._dead_processes())]

    def dead_servers(self) -> list[str]:
        """Names of the servers and processes that died, except the feed. Fast enough to poll."""
        return [*(name for name, _ in self.stack.dead()), *(process.name for process in self._dead_processes())]

    def _dead_processes(self) -> list[ServerProcess]:
        return [process for process in self._processes if process.died() and not isinstance(process, Feed)]

    def revive(self, progress: Callable[[str], None]) -> None:
        """Restart the servers and processes that died, at the same addresses; a server restarted by another program is adopted.

        Raises:
            ServerError: one could not be started, or not at the address that the other processes know.
        """
        before = (self.settings.redis_url, self.settings.timescale_url, self.settings.dagster_url)
        after = self.stack.start(progress)
        if (after.redis_url, after.timescale_url, after.dagster_url) != before:
            raise ServerError(
                "a server restarted at another address because its port was taken: start everything again"
            )
        for process in self._dead_processes():
            address = process.last_address()
            process.start(progress)
            if process.url() != address:
                raise ServerError(f"{process.title} restarted at another address: start everything again")

    def moved(self) -> str:
        """A line about Dagster's partitions after older data arrived, once; empty otherwise. Fast enough to poll."""
        return self._follower.text() if self._follower else ""

    def feed_ended(self) -> bool:
        """Whether the feed has ended."""
        return any(isinstance(process, Feed) and process.died() for process in self._processes)

    def services(self) -> list[Service]:
        """One row for each server and process, for the table."""
        rows = [Service("dagster ui", "runs, lineage, partitions", self.page, ours=True, log=None)]
        rows += self.stack.services()
        return rows + [
            Service(process.name, process.title, process.url() or "", ours=True, log=process.log)
            for process in self._processes
            if not isinstance(process, Webserver)
        ]

    def env(self) -> dict[str, str]:
        """The environment of every process of the system."""
        return {
            **without_secrets(os.environ),
            **self.stack.env(),
            INTAKE_URI: self.settings.intake_uri,
            UI_URL: os.environ.get(UI_URL) or self.page,
            **({} if self._health else {HEALTH_SCHEDULE: "off"}),
            **({ARCHIVE_CRON: self._cron} if self._cron else {}),
            "DAGSTER_HOME": str(self.dagster_home),
            "PYTHONUNBUFFERED": "1",
        }

    def _start_dagster(self, progress: Callable[[str], None]) -> None:
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        (self.dagster_home / "dagster.yaml").write_text(_DAGSTER_YAML.read_text())
        code = CodeServer(self._folder("code"), self.env())
        self._start(code, progress)
        host, _, port = (code.url() or "").partition(":")
        workspace = self.dagster_home / "workspace.yaml"
        workspace.write_text(
            f"load_from:\n  - grpc_server: {{host: {host}, port: {port}, location_name: {LOCATION}}}\n"
        )
        web = Webserver(self._folder("web"), self.env(), port=self._port, workspace=workspace)
        self._start(web, progress)
        if not os.environ.get(START):
            self._follower = FirstDayFollower(self.settings.home, web.reload_code)
        self._start(Daemon(self._folder("daemon"), self.env(), workspace=workspace), progress)

    def _start(self, process: ServerProcess, progress: Callable[[str], None]) -> None:
        self._processes.append(process)
        process.start(progress)

    def _clear_leftovers(self) -> None:
        """Stop the processes that a killed run of this home left behind, before their ports are needed."""
        for kind in (Feed, Daemon, Webserver, CodeServer):
            if self._folder(kind.name).is_dir():
                CodeServer(self._folder(kind.name)).stop()

    def _folder(self, name: str) -> Path:
        return self.settings.home / "services" / name


def _claimed(folder: Path) -> int:
    """Take the lock by which only one program at a time runs a home; it ends with its process.

    Raises:
        ServerError: another program has it, or the home cannot be written.
    """
    path = folder / "up"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServerError(
            f"{folder.parent} cannot be written ({error.strerror}): choose another with --home, or TRADING_DATA_HOME"
        ) from error
    if not try_lock(lock):
        os.close(lock)
        raise ServerError(
            f"{folder.parent} is up already, and keeps running: see it with `trading-data status`, stop it where it was "
            "started, or start another one with --home and --port"
        )
    return lock


def _refuse_taken_port(port: int) -> None:
    with closing(socket.socket()) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(
                f"port {port} for the web server is taken ({error.strerror}): choose another with --port"
            ) from error
