"""All benches in the order in which they run, and the context in which their figures are to be read.

Belongs here: the list, running benches, versions, machine and conditions. Does not: measuring, and showing results (`report`).
"""

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import psycopg2
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trading_data import __version__
from trading_data.bench.archive import ARCHIVE, LIVE_LATENCY, REPLAY
from trading_data.bench.dagster_jobs import BACKFILL, COMPRESS
from trading_data.bench.full_system import IDLE, STARTUP
from trading_data.bench.growth import GROWTH, MEMORY
from trading_data.bench.late_row import LATE_ROW
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise
from trading_data.bench.read import READ
from trading_data.bench.references import blob
from trading_data.bench.report import Entry
from trading_data.bench.servers import BenchRig, serve
from trading_data.bench.write import WRITE
from trading_data.errors import BadInput, TradingDataError
from trading_data.operations.status import archive_version, live_version
from trading_data.settings import Settings
from trading_data.times import now

BENCHES: dict[str, Bench] = {
    bench.name: bench
    for bench in (
        ARCHIVE, REPLAY, LIVE_LATENCY, LATE_ROW, BACKFILL, READ, WRITE, MEMORY, COMPRESS, STARTUP, IDLE, GROWTH,
    )
}  # fmt: skip
_LIBRARIES = ("dagster", "redis", "hiredis", "pyarrow", "pandas", "numpy", "psycopg2-binary", "pgpq")
_LIVE_SETTINGS = ("io-threads", "appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy")
_ARCHIVE_SETTINGS = (
    "shared_buffers", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_compression", "max_wal_size",
    "checkpoint_timeout", "work_mem", "max_worker_processes", "max_parallel_workers_per_gather", "jit",
)  # fmt: skip


def promises() -> dict[str, Promise]:
    """All promises by their names, in the order of their benches."""
    return {promise.name: promise for bench in BENCHES.values() for promise in bench.promises}


@dataclass(frozen=True)
class BenchResult:
    """A bench that was run: its entries, or why it failed."""

    bench: Bench
    entries: list[Entry] = field(default_factory=list)
    failed: str = ""


def chosen(names: Iterable[str]) -> list[Bench]:
    """The benches of these names, in the order in which they run; all if there are no names. A promise's name means its bench.

    Raises:
        BadInput: there is no bench of a name.
    """
    owner = {promise.name: bench.name for bench in BENCHES.values() for promise in bench.promises}
    wanted = set()
    for name in names:
        if name not in BENCHES and name not in owner:
            raise BadInput(f"there is no bench {name!r}; there are {', '.join(BENCHES)}")
        wanted.add(name if name in BENCHES else owner[name])
    return [bench for bench in BENCHES.values() if not wanted or bench.name in wanted]


def run(benches: list[Bench], given: Settings, plan: BenchPlan) -> Iterator[BenchResult]:
    """Run benches one after the other on the same servers; one that fails does not stop the others.

    Raises:
        Refused: the live tier that `given` names is not empty.
        ServerError: the servers do not answer or cannot be started.
    """
    with serve(given, plan.say) as rig:
        for bench in benches:
            yield run_one(bench, rig, plan)


def run_one(bench: Bench, rig: BenchRig, plan: BenchPlan) -> BenchResult:
    """Run one bench."""
    began, before = now(), _conditions(plan, rig)
    try:
        outcomes = bench.run(rig, plan)
        known, settings = _versions(rig), _settings(rig)
    except (TradingDataError, psycopg2.Error, RedisError, SQLAlchemyError, SubprocessError, OSError) as error:
        return BenchResult(bench, failed=" ".join(str(error).split()) or type(error).__name__)
    context = {
        "versions": known,
        "settings": settings,
        "machine": _machine(),
        "conditions": {**before, "seconds": round((now() - began).total_seconds(), 1)},
        "at": began.isoformat(timespec="seconds"),
    }
    return BenchResult(bench, [_entry(promise, outcomes[promise.name]) | context for promise in bench.promises])


def _entry(promise: Promise, outcome: Outcome) -> Entry:
    target = promise.target
    return {
        "name": promise.name,
        "size": outcome.size,
        "ratio": outcome.ratio.as_json(),
        "target": None if target is None else str(target),
        "met": None if target is None else target.met_by(outcome.ratio.median) and outcome.also,
        "also": outcome.also,
        "settled": blob(promise.settled) if promise.settled else "",
        "figures": dict(outcome.figures),
    }


def _versions(rig: BenchRig) -> dict[str, str]:
    """The versions of this package, the servers, Python and the libraries that do the work."""
    return {
        "trading_data": __version__,
        "live": live_version(rig.client),
        "archive": archive_version(rig.archive),
        "python": sys.version.split()[0],
        **{name: version(name) for name in _LIBRARIES},
    }


def _settings(rig: BenchRig) -> dict[str, dict[str, str]]:
    """What both servers are set to, as far as it bears on speed."""
    live: dict[str, str] = rig.client.config_get(*_LIVE_SETTINGS)  # type: ignore[assignment]
    with rig.archive.transaction(snapshot=True) as cursor:
        cursor.execute(
            "select name, current_setting(name) from pg_settings where name = any(%s) order by name",
            (list(_ARCHIVE_SETTINGS),),
        )
        archive = dict(cursor.fetchall())
    return {"live": {name: live.get(name) or "none" for name in _LIVE_SETTINGS}, "archive": archive}


def _machine() -> dict[str, Any]:
    """Cores, memory, processor and operating system."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _conditions(plan: BenchPlan, rig: BenchRig) -> dict[str, Any]:
    """Scale, repetitions, the machine's load beforehand, and for each tier whether it is embedded."""
    return {
        "scale": plan.scale,
        "repetitions": plan.repeat,
        "load_before": round(os.getloadavg()[0], 2),
        "servers": {tier: "embedded" if tier in rig.embedded else "given by URL" for tier in ("live", "archive")},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
