"""Worker processes of benches: `python -m trading_data.bench.worker NAME`, on the environment's servers.

A worker prints the line `ready`, continues after a line on standard input, and ends with one line of JSON.
"""

import json
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trading_data.archive.database import Archive
from trading_data.bench.cycle import Cycle, load, run_cycle
from trading_data.bench.references.wire import packed, wire
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.settings import Settings
from trading_data.times import day_start


class Worker:
    """A worker process that is ready, and waits for its line."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        """Use `worker`, which starts one."""
        self._process, self._name = process, name

    def finish(self) -> Any:
        """Send the line and wait for the end; returns the result.

        Raises:
            ServerError: the worker failed.
        """
        output, errors = self._process.communicate("go on\n")
        if self._process.returncode:
            last = errors.strip().splitlines()[-1:] or ["no output"]
            raise ServerError(f"the worker process `{self._name}` of the bench failed: {last[0]}")
        return json.loads(output)


@contextmanager
def worker(rig: BenchRig, name: str) -> Iterator[Worker]:
    """Start a worker on the rig's servers; it is killed on exit if it still runs.

    Raises:
        ServerError: it did not start.
    """
    command = [sys.executable, "-m", "trading_data.bench.worker", name]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=rig.env, text=True, **pipes) as process:  # noqa: S603 - this package's own program
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                Worker(process, name).finish()
                raise ServerError(f"the worker process `{name}` of the bench ended before it was ready")
            yield Worker(process, name)
        finally:
            if process.poll() is None:
                process.kill()


_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class LatencyProbe:
    """Requests of another client: `command` is sent `rate` times a second."""

    words: str
    rate: int
    command: bytes


_BARS = 20
_FIELDS = ("timestamp", "2026-11-20T15:00:00+00:00", "close", "101.25", "volume", "1200.0")
PROBES = {
    "get": LatencyProbe("GETs", 1000, packed("GET", "bench:probe")),
    "write": LatencyProbe(
        f"pipelines of {_BARS} bars",
        100,
        b"".join(
            packed("XADD", f"bench:journal:{at}", "MAXLEN", "~", 1000, "*", *_FIELDS)
            + packed("HSET", f"bench:{at}", *_FIELDS)
            + packed("PUBLISH", f"bench:{at}", "bar")
            for at in range(_BARS)
        ),
    ),
}


def probe(settings: Settings, kind: LatencyProbe) -> object:
    """Send the command on schedule until the line arrives; returns the seconds from each request's time to its answer."""
    times = []
    with wire(connect_for_archiver(settings.require_redis_url())) as line:
        line.send(kind.command)
        _ready()
        due = time.perf_counter()
        while not _line_arrived():
            due += 1 / kind.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            line.send(kind.command)
            times.append(time.perf_counter() - due)
    return times


def load_arrivals(settings: Settings) -> object:
    """Load and trim batches as they arrive in the intake, until the line arrives; returns the numbers of entries."""
    client = connect_for_archiver(settings.require_redis_url())
    archive, intake, cycle = Archive(settings.require_timescale_url()), Intake(settings.intake_uri), Cycle()
    load(client, archive, intake, cycle)
    _ready()
    ended = False
    while not ended:
        ended = _line_arrived()
        if ended or intake.pending(PRICE.name):
            load(client, archive, intake, cycle)
        else:
            time.sleep(_POLL_SECONDS)
    return {"inserted": sum(loaded.inserted for loaded in cycle.loaded), "trimmed": cycle.trimmed}


def archive_all(settings: Settings) -> object:
    """Archive the price journals; returns the peak resident size of this process in bytes and the numbers of entries."""
    client = connect_for_archiver(settings.require_redis_url())
    archive = Archive(settings.require_timescale_url())
    _ready()
    sys.stdin.readline()
    cycle = run_cycle(client, archive, Intake(settings.intake_uri), day_start(settings.start))
    inserted = sum(loaded.inserted for loaded in cycle.loaded)
    return {"inserted": inserted, "trimmed": cycle.trimmed, "peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """The peak resident size of this process.

    On Linux not from `getrusage`, which begins with the size that the process had before it ran this program: its parent's.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _line_arrived() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


PROGRAMS: dict[str, Callable[[Settings], object]] = {
    "load": load_arrivals,
    "archive": archive_all,
    **{f"probe-{name}": partial(probe, kind=kind) for name, kind in PROBES.items()},
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(PROGRAMS[sys.argv[1]](Settings.from_env())) + "\n")
