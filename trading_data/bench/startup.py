"""Bench `startup`: how long until one can work.

Belongs here: imports in fresh interpreters, and `up` until its first archived row. Does not: running `up` (`whole`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from trading_data.archive.database import Archive
from trading_data.bench.full_system import Whole, whole_system
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget, alternate, spreads
from trading_data.bench.servers import BenchRig
from trading_data.errors import ServerError, TradingDataError

_LONGEST_SECONDS = 300
_IMPORT = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"
_ARCHIVED = "select exists (select from archive_ledger where inserted > 0)"


def run(_: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Imports in turn; `up` once."""
    plan.say(f"imports, {plan.repeat} times")
    _import("trading_data.definitions")
    times = alternate(
        plan.repeat,
        {"definitions": lambda: _import("trading_data.definitions"), "dagster": lambda: _import("dagster")},
    )
    plan.say("`up` until its first archived row, once")
    began = time.perf_counter()
    with whole_system("--symbols", "20", "--pace", "60") as system:
        system.wait()
        up = time.perf_counter() - began
        _wait_for_a_row(system)
        row = time.perf_counter() - began
    figures = {**spreads(times), "up_ready_seconds": up, "up_first_archived_row_seconds": row}
    return {"startup": Outcome(Ratio.of(times["definitions"], times["dagster"]), figures)}


def _import(module: str) -> float:
    """Seconds of an import in a fresh interpreter, which keeps the bytecode as an installed package has it."""
    command = [sys.executable, "-c", _IMPORT.format(module)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter
    if done.returncode:
        raise ServerError(f"`import {module}` failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout)


def _wait_for_a_row(system: Whole) -> None:
    archive = Archive(system.settings.require_timescale_url())
    patience = time.monotonic() + _LONGEST_SECONDS
    try:
        while not _is_there(archive):
            system.check()
            if time.monotonic() > patience:
                raise ServerError(f"`up` archived no row within {_LONGEST_SECONDS} s")
            time.sleep(0.1)
    finally:
        archive.close()


def _is_there(archive: Archive) -> bool:
    try:
        with archive.transaction(snapshot=True) as cursor:
            cursor.execute(_ARCHIVED)
            return bool((cursor.fetchone() or (False,))[0])
    except TradingDataError:
        return False


BENCH = Bench(
    "startup",
    (
        Promise(
            "startup",
            "`import trading_data.definitions` in a fresh interpreter; beside it `up` until the first archived row",
            "`import dagster` in a fresh interpreter",
            RatioTarget("at most", 2.5),
        ),
    ),
    run,
    own_servers=True,
)
