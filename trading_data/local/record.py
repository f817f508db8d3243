"""What a home remembers of a server process between programs, and whose process that is.

Belongs here: the state file, the identity of a process, the locks of a server's folder. Does not: what is started.
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

_CLOCK_STEP = 2.0
"""Seconds by which the start time of one process may seem to differ: it is counted from a boot time that the system
corrects along with its clock."""


@dataclass(frozen=True)
class Record:
    """One server as last started: `pid` and `started` are None once it was stopped."""

    pid: int | None
    started: float | None
    port: int
    command: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "Record | None":
        """The record in `path`, None if there is none that can be read."""
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
        """Write it aside and rename, so that a reader finds the old one or the new one."""
        aside = path.with_name(path.name + ".new")
        aside.write_text(json.dumps(asdict(self)))
        aside.replace(path)

    def stopped(self) -> "Record":
        """The same without a process; the port stays, so that a restart can take it again."""
        return replace(self, pid=None, started=None)

    def process(self) -> psutil.Process | None:
        """The live process this is the record of; None if it ended, even if another one has its number now."""
        if self.pid is None or self.started is None:
            return None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < _CLOCK_STEP and not ended(process):
                return process
        return None


def ended(process: psutil.Process) -> bool:
    """Whether `process` has ended, waited for or not."""
    try:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return False
        process.wait(0)  # so that it does not stay behind as a zombie if it is our child
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass
    return True


def end(process: psutil.Process, signal: int, seconds: float) -> None:
    """Send `signal`, after `seconds` kill it, and see that it ends; never touches another process of that number."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal)
        if not wait(lambda: ended(process), seconds):
            process.kill()
            wait(lambda: ended(process), 30)


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def alone(path: Path, seconds: float = 600) -> Iterator[None]:
    """Hold the lock file `path`, so that one program at a time starts or stops this server.

    Raises:
        ServerError: another program has held it for `seconds`.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not wait(lambda: try_lock(handle), seconds):
            raise ServerError(f"another program has been starting or stopping the server in {path.parent} for too long")
        yield
    finally:
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Take the lock of an open file if nobody has it; it stays until every process that inherits `handle` has ended."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holders(path: Path) -> list[psutil.Process]:
    """The processes but this one that have `path` open, oldest first."""
    wanted = os.path.realpath(path)
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.pid != os.getpid() and any(file.path == wanted for file in process.open_files()):
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())
