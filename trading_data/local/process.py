"""One embedded server: a daemon with a folder of its own, started, taken over, watched and stopped.

Belongs here: what is the same for every server. Does not: what a certain server is started with (`valkey`, `postgres`,
`timescale`), and which of them are needed (`stack`).
"""

import os
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import psutil

from trading_data.errors import ServerError
from trading_data.local.record import Record, alone, end, ended, holders, try_lock, wait

Progress = Callable[[str], None]

_LOG_LIMIT = 20 << 20
_PORT_ATTEMPTS = 3


class ServerProcess(ABC):
    """A server that belongs to one folder and outlives the program that started it.

    The folder has `data`, `log`, `state.json` (the process and its port), `control` (held while it is started or
    stopped) and `in-use` (held by the server and its children as long as one of them lives, so that no second server
    is ever started on the same data, whatever became of the state file).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    variable: ClassVar[str]
    """The environment variable that points at another server in place of this one."""
    ready_words: ClassVar[str]
    """What its log says when it can be pinged."""
    start_seconds: ClassVar[float] = 300
    stop_seconds: ClassVar[float] = 60
    stop_signal: ClassVar[int] = signal.SIGTERM

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        """`folder` is made when it is started; `env` is the environment it gets (default: this program's)."""
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._state = self.folder / "state.json"
        self._env = dict(os.environ if env is None else env)
        self._process: psutil.Process | None = None

    @abstractmethod
    def prepare(self, progress: Progress) -> None:
        """Make whatever has to exist before the first start; nobody else uses the data meanwhile."""

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
        """Arguments of `subprocess.Popen` that say as whom it runs."""
        return {}

    def taken_over(self, port: int) -> None:  # noqa: B027 - most servers need nothing here
        """See that a server found running is set up as a new one would be."""

    def start(self, progress: Progress = lambda _: None) -> bool:
        """See that it runs; whether it had to be started (False: it was running already and was taken over).

        A process that an earlier program left behind is taken over if it answers, else stopped. The port of the last
        time is used again if it is free.

        Raises:
            ServerError: it could not be started; the message ends with the end of its log.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone(self.folder / "control"):
                return self._start(progress)
        except OSError as error:
            raise ServerError(
                f"{self.title} cannot be started in {self.folder}: {error}. "
                f"Use the account that made this folder, or another TRADING_DATA_HOME, or set {self.variable}"
            ) from error

    def stop(self) -> bool:
        """Stop it in order, or by force when it takes too long; whether there was anything to stop."""
        if not self.folder.is_dir():
            return False
        with alone(self.folder / "control"):
            self._process = None
            record = Record.load(self._state)
            running = record.process() if record else None
            if running:
                end(running, self.stop_signal, self.stop_seconds)
            os.close(self._claim())
            if record:
                record.stopped().save(self._state)
            return running is not None

    def alive(self) -> bool:
        """Whether the process that `start` started or took over still runs; cheap."""
        return self._process is not None and not ended(self._process)

    def died(self) -> bool:
        """Whether the process that `start` started or took over has ended without `stop`."""
        return self._process is not None and ended(self._process)

    def url(self) -> str | None:
        """Its address if it runs, whoever started it."""
        record = Record.load(self._state)
        return self.address(record.port) if record and record.process() else None

    def last_address(self) -> str | None:
        """Its address when it was started last, whether it runs or not."""
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
                self.taken_over(record.port)
                progress(f"{self.title}: already running")
                return False
            progress(f"{self.title}: runs but does not answer, so it is started again")
            end(running, self.stop_signal, self.stop_seconds)
        lock = self._claim()
        try:
            self.prepare(progress)
            progress(f"{self.title}: starting")
            self._launch(lock, record.port if record else None)
        finally:
            os.close(lock)
        return True

    def _claim(self) -> int:
        """The lock of the data, as an open file for the server to inherit; ends processes that nobody remembers."""
        path = self.folder / "in-use"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Children of a killed server see by themselves that it is gone.
        if wait(lambda: try_lock(lock), 1):
            return lock
        for process in holders(path):
            end(process, self.stop_signal, self.stop_seconds)
        if wait(lambda: try_lock(lock), 10):
            return lock
        os.close(lock)
        others = ", ".join(str(process.pid) for process in holders(path)) or "of another account"
        raise ServerError(f"{self.title} in {self.folder} is used by processes that do not end: {others}. Stop them")

    def _launch(self, lock: int, last_port: int | None) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_name("log.1"))
        for attempt in range(_PORT_ATTEMPTS):
            port = last_port if attempt == 0 and last_port and _is_free(last_port) else free_port()
            process, log_start = self._spawn(lock, port)
            if self._wait_ready(process, port, log_start):
                self._process = process
                return
            if ended(process) and not _is_free(port):  # somebody else was quicker
                continue
            fate = "ended" if ended(process) else f"was not ready within {self.start_seconds:.0f} s"
            end(process, self.stop_signal, self.stop_seconds)
            break
        else:
            fate = "found its port taken again and again"
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
        child.returncode = 0  # it is to outlive this object, which would warn of that
        process = psutil.Process(child.pid)
        Record.of(process, port, command).save(self._state)
        return process, start

    def _wait_ready(self, process: psutil.Process, port: int, log_start: int) -> bool:
        # Not by trying to connect: until the server listens, such an attempt can get its very port as its own.
        words = self.ready_words.encode()
        wait(lambda: ended(process) or words in self._log_from(log_start), self.start_seconds)
        return wait(lambda: ended(process) or self.ping(port, process.pid), self.start_seconds) and not ended(process)

    def _log_from(self, start: int) -> bytes:
        with self.log.open("rb") as file:
            file.seek(start)
            return file.read()


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: old connections do not count
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with closing(socket.socket()) as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])
