"""Benches `startup` and `idle`: `trading-data up` as a process, in a temporary home, on the bench's servers if given by URL.

`startup` measures imports in fresh interpreters, and the time of `up` until its first archived row. `idle` measures the CPU time
and the commands at the live tier of a system that receives nothing.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from trading_data.archive.database import Archive
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    Spread,
    alternate,
    ratios,
    spreads,
)
from trading_data.bench.servers import BenchRig
from trading_data.errors import ServerError, TradingDataError
from trading_data.live.connection import Client, connect, live_errors
from trading_data.local.process import free_port
from trading_data.local.servers import Stack
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


class UpProcess:
    """A running `trading-data up`."""

    def __init__(self, given: dict[str, str], home: Path, process: "subprocess.Popen[str]") -> None:
        """Use `full_system`, which starts one."""
        self._given, self.home, self.process = given, home, process

    @property
    def settings(self) -> Settings:
        """The settings, with the addresses of the servers that run already."""
        return Settings.from_env(Stack(Settings.from_env(self._given)).env())

    def wait(self) -> None:
        """Until it says that it is up.

        Raises:
            ServerError: it ended, or it takes more than five minutes.
        """
        deadline = time.monotonic() + _START_SECONDS
        while _READY not in self.output():
            self.check()
            if time.monotonic() > deadline:
                raise ServerError(f"`up` was not ready within {_START_SECONDS} s; its output: {self.output()[-500:]}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise ServerError if it has ended."""
        if self.process.poll() is not None:
            raise ServerError(f"`up` ended unexpectedly; its output: {self.output()[-500:]}")

    def output(self) -> str:
        """Its output so far."""
        return (self.home / "up.log").read_text(errors="replace")


@contextmanager
def full_system(rig: BenchRig, *options: str) -> Iterator[UpProcess]:
    """Start `up` with these options, on the servers of `rig` that are not embedded; on exit it is stopped and removed."""
    home = Path(tempfile.mkdtemp(prefix="trading_data_bench_up_"))
    tiers = {REDIS_URL: "live", TIMESCALE_URL: "archive", DAGSTER_URL: "archive"}
    urls = {name: rig.env[name] for name, tier in tiers.items() if tier not in rig.embedded and name in rig.env}
    given = {**urls, HOME: str(home)}
    env = {name: value for name, value in os.environ.items() if name not in _GIVEN} | given
    command = [sys.executable, "-c", _PROGRAM, "up", "--port", str(free_port()), *options]
    try:
        with (home / "up.log").open("w") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, text=True)  # noqa: S603
        try:
            yield UpProcess(given, home, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            Stack(Settings.from_env(given)).stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


_FIRST_ROW_SECONDS = 300
_IMPORT = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"
_ARCHIVED = "select exists (select from archive_ledger where inserted > 0)"


def run_startup(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """The imports in turn; `up` once."""
    plan.say(f"imports, {plan.repeat} times")
    _import("trading_data.definitions")
    times = alternate(
        plan.repeat,
        {"definitions": lambda: _import("trading_data.definitions"), "dagster": lambda: _import("dagster")},
    )
    plan.say("`up` until its first archived row, once")
    rig.clean()
    began = time.perf_counter()
    with full_system(rig, "--symbols", "20", "--pace", "60") as system:
        system.wait()
        up = time.perf_counter() - began
        _wait_for_a_row(system)
        row = time.perf_counter() - began
    figures = {**spreads(times), "up_ready_seconds": up, "up_first_archived_row_seconds": row}
    return {"startup": Outcome(ratios(times["definitions"], times["dagster"]), "imports; `up` once", figures)}


def _import(module: str) -> float:
    """Seconds of an import in a fresh interpreter, with bytecode as in an installed package."""
    command = [sys.executable, "-c", _IMPORT.format(module)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter
    if result.returncode:
        raise ServerError(f"`import {module}` failed: {result.stderr.strip().splitlines()[-1:]}")
    return float(result.stdout)


def _wait_for_a_row(system: UpProcess) -> None:
    archive = Archive(system.settings.require_timescale_url())
    deadline = time.monotonic() + _FIRST_ROW_SECONDS
    try:
        while not _has_row(archive):
            system.check()
            if time.monotonic() > deadline:
                raise ServerError(f"`up` archived no row within {_FIRST_ROW_SECONDS} s")
            time.sleep(0.1)
    finally:
        archive.close()


def _has_row(archive: Archive) -> bool:
    try:
        with archive.transaction(snapshot=True) as cursor:
            cursor.execute(_ARCHIVED)
            return bool((cursor.fetchone() or (False,))[0])
    except TradingDataError:
        return False


STARTUP = Bench(
    "startup",
    (
        Promise(
            "startup",
            "`import trading_data.definitions` in a fresh interpreter; also `up` until the first archived row",
            "`import dagster` in a fresh interpreter",
            RatioTarget("at most", 2.5),
        ),
    ),
    run_startup,
)


_IDLE_SECONDS = 180
_SETTLE_SECONDS = 20


def run_idle(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Three minutes of `up --feed none`, once; they include several of its periodic runs."""
    wanted = plan.size(_IDLE_SECONDS, 2)
    rig.clean()
    plan.say(f"`up --feed none` for {wanted} s")
    with full_system(rig, "--feed", "none") as system:
        system.wait()
        time.sleep(min(_SETTLE_SECONDS, wanted))
        client = connect(system.settings.require_redis_url())
        calls, spent, began = _calls(client), _cpu(system, client), time.perf_counter()
        time.sleep(wanted)
        passed = time.perf_counter() - began
        used = {name: max(0.0, after - spent.get(name, 0.0)) for name, after in _cpu(system, client).items()}
        commands = {name: count - calls.get(name, 0) for name, count in _calls(client).items()}
        client.close()
        system.check()
    commands["info"] = max(0, commands.get("info", 0) - 1)  # from this bench
    per_minute = {name: round(60 * count / passed, 1) for name, count in commands.items() if count > 0}
    figures: dict[str, object] = {
        "seconds": passed,
        "cpu_seconds": sum(used.values()),
        "cpu_share": {name: round(seconds / passed, 4) for name, seconds in used.items()},
        "live_commands_per_minute": sum(per_minute.values()),
        "live_commands": dict(sorted(per_minute.items(), key=lambda item: -item[1])),
    }
    if "archive" not in rig.embedded:
        figures["not_measured"] = "the archive's server"
    if "live" not in rig.embedded:
        figures["counted_too"] = "all other clients of the live tier's server"
    return {"idle": Outcome(Spread.of([sum(used.values()) / passed]), f"{wanted} s", figures)}


def _cpu(system: UpProcess, client: Client) -> dict[str, float]:
    """CPU seconds so far by process, ended children included; a process is named after its folder in `services`.

    A live tier that is given by URL tells its own.
    """
    root = psutil.Process(system.process.pid)
    used: dict[str, float] = {}
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
            name = _name(process.cwd(), process.pid == root.pid)
        except psutil.Error:
            continue
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        used[name] = used.get(name, 0.0) + times.user + times.system + ended
    if "redis" not in used:
        with live_errors(client):
            spent: dict[str, float] = client.info("cpu")
        used["redis"] = spent["used_cpu_user"] + spent["used_cpu_sys"]
    return used


def _name(folder: str, is_root: bool) -> str:
    parts = folder.split("/services/")
    return "up" if is_root or len(parts) < 2 else parts[1].split("/")[0]


def _calls(client: Client) -> dict[str, int]:
    with live_errors(client):
        statistics = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(command["calls"]) for name, command in statistics.items()}


IDLE = Bench(
    "idle",
    (
        Promise(
            "idle",
            "CPU seconds per second of all processes of `up --feed none`; also the commands at the live tier",
            "one core",
            None,
        ),
    ),
    run_idle,
)
