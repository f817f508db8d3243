"""The record of a server process in its home, which lets a later program find it again.

Belongs here: the state file, the identity of a process, the locks of a server's folder. Does not: starting servers.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from trading_data.errors import ServerError
from trading_data.files import replacing

_CLOCK_STEP = 2.0
"""Seconds by which two readings of a process's start time may differ: it is counted from the boot time, which the system
corrects together with its clock."""


@dataclass(frozen=True)
class Record:
    """The last start of a server; `pid` and `started` are None after it was stopped."""

    pid: int | None
    started: float | None
    port: int
    command: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "Record | None":
        """The record in `path`; None if it is missing or unreadable."""
        try:
            data = json.loads(path.read_text())
            return cls(data["pid"], data["started"], int(data["port"]), tuple(data["command"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def of(cls, process: psutil.Process, port: int, command: list[str]) -> "Record":
        """The record of a process just started."""
        return cls(process.pid, process.create_time(), port, tuple(command))

    def save(self, path: Path) -> None:
        """Write it; a reader gets either the old record or the new one."""
        with replacing(path) as aside:
            aside.write_text(json.dumps(asdict(self)))

    def stopped(self) -> "Record":
        """The same record without a process; the port stays, so that a restart can use it again."""
        return replace(self, pid=None, started=None)

    def process(self) -> psutil.Process | None:
        """The running process of this record; None if it ended, even if another process has its pid now."""
        if self.pid is None or self.started is None:
            return None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < _CLOCK_STEP and not has_ended(process):
                return process
        return None


def has_ended(process: psutil.Process) -> bool:
    """Whether `process` has ended; true for a zombie too."""
    try:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return False
        process.wait(0)  # so that it does not stay behind as a zombie if it is our child
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass
    return True


def end_process(process: psutil.Process, signal: int, seconds: float) -> None:
    """Send `signal`, kill the process after `seconds`, and wait for its end; never touches another process with the same pid."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal)
        if not wait_until(lambda: has_ended(process), seconds):
            process.kill()
            wait_until(lambda: has_ended(process), 30)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for `condition`; whether it became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def exclusive(path: Path, seconds: float = 600) -> Iterator[None]:
    """Hold the lock file `path`, so that only one program at a time starts or stops this server.

    Raises:
        ServerError: another program has held it for `seconds`.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not wait_until(lambda: try_lock(handle), seconds):
            raise ServerError(
                f"another program has held {path} for more than {seconds:.0f} s: it starts or stops that server"
            )
        yield
    finally:
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Lock an open file if it is free. The lock lasts until every process that inherits `handle` has ended."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def processes_holding(path: Path) -> list[psutil.Process]:
    """The other processes that have `path` open, the oldest first."""
    wanted = os.path.realpath(path)
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.pid != os.getpid() and any(file.path == wanted for file in process.open_files()):
                processes.append(process)
    return sorted(processes, key=lambda process: process.create_time())
