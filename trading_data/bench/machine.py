"""What a figure has to be read with: versions, the machine, and the conditions of the run.

Belongs here: naming them. Does not: judging them.
"""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trading_data import __version__
from trading_data.bench.measure import BenchPlan
from trading_data.bench.servers import BenchRig
from trading_data.operations.status import archive_version, live_version

_LIBRARIES = ("dagster", "redis", "hiredis", "pyarrow", "pandas", "numpy", "psycopg2-binary", "pgpq")


def versions(rig: BenchRig | None) -> dict[str, str]:
    """Of this package, the servers, Python and the libraries that do the work."""
    servers = {} if rig is None else {"live": live_version(rig.client), "archive": archive_version(rig.archive)}
    return {
        "trading_data": __version__,
        **servers,
        "python": sys.version.split()[0],
        **{name: version(name) for name in _LIBRARIES},
    }


def machine() -> dict[str, Any]:
    """Cores, memory, processor and operating system."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def conditions(plan: BenchPlan, rig: BenchRig | None) -> dict[str, Any]:
    """Scale, repetitions, the load of the machine before, and whose servers they were."""
    embedded = ("live", "archive") if rig is None else rig.embedded
    return {
        "scale": plan.scale,
        "repetitions": plan.repeat,
        "load_before": round(os.getloadavg()[0], 2),
        "servers": {tier: "embedded" if tier in embedded else "given by URL" for tier in ("live", "archive")},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
