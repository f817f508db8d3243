"""Dagster's three processes and the feed, each managed like a server: a folder, a log, a record of its process.

Belongs here: their commands, and when each is ready. Does not: managing (`local.process`).
"""

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from trading_data.local.process import Progress, ServerProcess
from trading_data.local.record import Record, has_ended

LOCATION = "trading_data"
MODULE = "trading_data.definitions"
_RELOAD = """
mutation Reload($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) {
  __typename ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } } } }
"""
_RELOAD_SECONDS = 120
_CHILDREN_SECONDS = 2
"""Seconds for a run's worker to end by itself; the next run repeats what it had not committed."""


class _Process(ServerProcess):
    """A process of this package. One left by a killed `up` is never adopted, because its addresses may be outdated."""

    def prepare(self, progress: Progress) -> None:
        """Nothing to create."""

    def start(self, progress: Progress = lambda _: None) -> bool:
        """Stop the process of a killed run, then start."""
        self.stop()
        return super().start(progress)

    def stop(self) -> bool:
        """Stop it and its children: the worker of a run would go on for a while."""
        record = Record.load(self._state)
        process = record.process() if record else None
        children: list[psutil.Process] = []
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                children = process.children(recursive=True)
        stopped = super().stop()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        for child in psutil.wait_procs(children, timeout=_CHILDREN_SECONDS)[1]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return stopped

    def ping(self, port: int, pid: int) -> bool:
        """Whether it still runs; its log has already shown that it is ready."""
        return psutil.pid_exists(pid)

    def address(self, port: int) -> str:
        """None."""
        return ""


class CodeServer(_Process):
    """The code location, over gRPC: a server that loads the definitions in a child process, and again on each reload.

    Runs are children of that child. A child that was replaced ends after its runs.
    """

    name, title, variable = "code", "code location", "TRADING_DATA_HOME"
    ready_words = "Started Dagster code proxy server"
    stop_seconds = 4
    _loaded: psutil.Process | None = None

    def command(self, port: int) -> list[str]:
        """The gRPC server with this package's definitions."""
        options = ["-h", "127.0.0.1", "-p", str(port), "-m", MODULE, "--location-name", LOCATION]
        return [
            sys.executable,
            "-m",
            "dagster",
            "code-server",
            "start",
            *options,
            "--use-python-environment-entry-point",
        ]

    def died(self) -> bool:
        """Whether the server, or the child with the definitions, has ended without `stop`."""
        if super().died() or self._process is None:
            return super().died()
        if self._loaded is None or has_ended(self._loaded):  # or it was replaced
            with suppress(psutil.NoSuchProcess):
                self._loaded = next((child for child in self._process.children() if not has_ended(child)), None)
        return self._loaded is None or has_ended(self._loaded)

    def address(self, port: int) -> str:
        """Where it listens."""
        return f"127.0.0.1:{port}"


class Webserver(_Process):
    """Dagster's web server, on the port that the user chose."""

    name, title, variable = "web", "Dagster web server", "TRADING_DATA_HOME"
    ready_words = "Serving dagster-webserver"
    stop_seconds = 3

    def __init__(self, folder: Path, env: Mapping[str, str], *, port: int, workspace: Path) -> None:
        """`workspace` is the file that names the code location."""
        super().__init__(folder, env)
        self.port = port
        self._workspace = workspace

    def command(self, port: int) -> list[str]:
        """The web server."""
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-w", str(self._workspace)]
        return [sys.executable, "-m", "dagster_webserver", *options]

    def ping(self, port: int, pid: int) -> bool:
        """Whether it answers with its version."""
        try:
            with urllib.request.urlopen(f"{self.address(0)}/server_info", timeout=5) as reply:  # noqa: S310 - loopback
                return "dagster_webserver_version" in json.load(reply)
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def address(self, port: int) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def reload_code(self) -> str:
        """Reload the definitions of the code location, as the button *Reload* does; returns an error text, or an empty one."""
        body = json.dumps({"query": _RELOAD, "variables": {"name": LOCATION}}).encode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.address(0)}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_RELOAD_SECONDS) as reply:  # noqa: S310 - loopback
                result = json.load(reply)["data"]["reloadRepositoryLocation"]
        except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError) as error:
            return str(error) or type(error).__name__
        status = result.get("locationOrLoadError", result)
        return "" if status["__typename"] == "RepositoryLocation" else str(status.get("message", status["__typename"]))


class Daemon(_Process):
    """Dagster's daemon: schedules, sensors, the run queue."""

    name, title, variable = "daemon", "Dagster daemon", "TRADING_DATA_HOME"
    ready_words = "Instance is configured with the following daemons"
    stop_seconds = 4

    def __init__(self, folder: Path, env: Mapping[str, str], *, workspace: Path) -> None:
        """`workspace` is the file that names the code location."""
        super().__init__(folder, env)
        self._workspace = workspace

    def command(self, port: int) -> list[str]:
        """The daemon."""
        return [sys.executable, "-m", "dagster._daemon", "run", "-w", str(self._workspace)]


class Feed(_Process):
    """A feed into the live tier."""

    name, title, variable = "feed", "feed", "TRADING_DATA_HOME"
    ready_words = "begins"
    stop_signal = signal.SIGTERM
    stop_seconds = 3

    def __init__(self, folder: Path, env: Mapping[str, str], *, options: Sequence[str]) -> None:
        """`options` are those of `python -m trading_data.sources.feeds`."""
        super().__init__(folder, env)
        self._options = list(options)

    def command(self, port: int) -> list[str]:
        """The feed."""
        return [sys.executable, "-m", "trading_data.sources.feeds", *self._options]
