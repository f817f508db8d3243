"""`trading-data up` as a process, on embedded servers in a temporary home: what `startup` and `idle` look at.

Belongs here: starting it, looking into it, ending it. Does not: measuring.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from trading_data.errors import ServerError
from trading_data.settings import (
    BACKUP_URI,
    DAGSTER_URL,
    HOME,
    INTAKE_URI,
    REDIS_URL,
    TIMESCALE_URL,
    Settings,
)

_PROGRAM = "from trading_data.cli.main import main; main()"
_GIVEN = {REDIS_URL, TIMESCALE_URL, DAGSTER_URL, INTAKE_URI, BACKUP_URI, "DAGSTER_HOME"}
_READY = "Press Ctrl-C"
_START_SECONDS = 300
_STOP_SECONDS = 120


class Whole:
    """A running `up`."""

    def __init__(self, home: Path, process: "subprocess.Popen[str]") -> None:
        """Use `whole_system`, which starts one."""
        self.home, self.process = home, process

    @property
    def settings(self) -> Settings:
        """The addresses of its servers, of those that run already."""
        from trading_data.local.servers import Stack

        return Settings.from_env(Stack(_settings(self.home)).env())

    def wait(self) -> None:
        """Until it says that it is up.

        Raises:
            ServerError: it ended, or it takes more than five minutes.
        """
        patience = time.monotonic() + _START_SECONDS
        while _READY not in self.said():
            self.check()
            if time.monotonic() > patience:
                raise ServerError(f"`up` was not ready within {_START_SECONDS} s; it said: {self.said()[-500:]}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise ServerError if it has ended."""
        if self.process.poll() is not None:
            raise ServerError(f"`up` ended by itself; it said: {self.said()[-500:]}")

    def said(self) -> str:
        """What it has printed so far."""
        return (self.home / "up.log").read_text(errors="replace")


@contextmanager
def whole_system(*options: str) -> Iterator[Whole]:
    """Start `up` with these options; all of it has gone again afterwards."""
    home = Path(tempfile.mkdtemp(prefix="trading_data_bench_up_"))
    env = {name: value for name, value in os.environ.items() if name not in _GIVEN} | {HOME: str(home)}
    command = [sys.executable, "-c", _PROGRAM, "up", "--port", str(_free_port()), *options]
    try:
        with (home / "up.log").open("w") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, text=True)  # noqa: S603
        try:
            yield Whole(home, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _stop_leftovers(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _stop_leftovers(home: Path) -> None:
    from trading_data.local.servers import Stack

    Stack(_settings(home)).stop()


def _settings(home: Path) -> Settings:
    return Settings.from_env({HOME: str(home)})


def _free_port() -> int:
    with closing(socket.socket()) as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])
