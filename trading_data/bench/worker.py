"""What benches let other processes do: `python -m trading_data.bench.worker {probe|load|archive}`, on the environment's servers.

It says `ready` in a line of its own, goes on when it is sent a line, and ends with one line of JSON.

Belongs here: the three programs. Does not: starting them (`children`).
"""

import json
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trading_data.archive.database import Archive
from trading_data.bench.cycle import Cycle, load, run_cycle
from trading_data.bench.servers import BenchRig
from trading_data.bench.wire import packed, wire
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.settings import Settings
from trading_data.times import day_start


class Child:
    """A program that is ready and waits for its line."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        """Use `child`, which starts one."""
        self._process, self._name = process, name

    def tell(self) -> Any:
        """Send the line; returns what the program found once it has ended.

        Raises:
            ServerError: it failed.
        """
        said, failed = self._process.communicate("go on\n")
        if self._process.returncode:
            last = failed.strip().splitlines()[-1:] or ["no word"]
            raise ServerError(f"the bench's own process `{self._name}` failed: {last[0]}")
        return json.loads(said)


@contextmanager
def child(rig: BenchRig, name: str) -> Iterator[Child]:
    """A program of `child`, on the rig's servers; ended on leaving.

    Raises:
        ServerError: it does not come up.
    """
    command = [sys.executable, "-m", "trading_data.bench.worker", name]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=rig.env, text=True, **pipes) as process:  # noqa: S603 - this package's own program
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                Child(process, name).tell()
                raise ServerError(f"the bench's own process `{name}` ended before it was ready")
            yield Child(process, name)
        finally:
            if process.poll() is None:
                process.kill()


_PAUSE_SECONDS = 0.0005
_POLL_SECONDS = 0.01


def probe(settings: Settings) -> object:
    """GETs one after the other, half a millisecond apart, until a line comes: the seconds that each took."""
    command = packed("GET", "bench:probe")
    found = []
    with wire(connect_for_archiver(settings.require_redis_url())) as line:
        _ready()
        while not _told():
            began = time.perf_counter()
            line.send(command)
            found.append(time.perf_counter() - began)
            time.sleep(_PAUSE_SECONDS)
    return found


def load_beside(settings: Settings) -> object:
    """Load and trim what comes into the intake, until a line says that nothing more comes: what was loaded and trimmed."""
    client = connect_for_archiver(settings.require_redis_url())
    archive, intake, cycle = Archive(settings.require_timescale_url()), Intake(settings.intake_uri), Cycle()
    load(client, archive, intake, cycle)
    _ready()
    ended = False
    while not ended:
        ended = _told()
        if ended or intake.pending(PRICE.name):
            load(client, archive, intake, cycle)
        else:
            time.sleep(_POLL_SECONDS)
    return {"inserted": sum(one.inserted for one in cycle.loaded), "trimmed": cycle.trimmed}


def archive_all(settings: Settings) -> object:
    """Archive what waits in the price journals: the peak resident size of this process in bytes, and what was inserted."""
    client = connect_for_archiver(settings.require_redis_url())
    archive = Archive(settings.require_timescale_url())
    _ready()
    sys.stdin.readline()
    cycle = run_cycle(client, archive, Intake(settings.intake_uri), day_start(settings.start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"inserted": sum(one.inserted for one in cycle.loaded), "trimmed": cycle.trimmed, "peak_bytes": peak}


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _told() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


PROGRAMS: dict[str, Callable[[Settings], object]] = {"probe": probe, "load": load_beside, "archive": archive_all}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(PROGRAMS[sys.argv[1]](Settings.from_env())) + "\n")
