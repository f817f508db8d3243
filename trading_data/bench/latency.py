"""Bench `live-latency`: what other clients of the live tier wait for while the archiver works.

The probes are open loop: each request has its time in a schedule, is sent then or as soon as the one before was answered, and its
latency counts from the schedule. So a stall counts in every request that it delays. Each probe is a process of its own, and
produces at the same rate while idle and while archiving.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np

from trading_data.bench.archive import ENTRIES, Archiving
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    alternate,
    rates,
    ratios,
    spreads,
)
from trading_data.bench.rows import bars_of
from trading_data.bench.servers import BenchRig
from trading_data.bench.worker import PROBES, worker

_IDLE_SECONDS = 10.0
_LEAST_RATE = 0.8


def run_live_latency(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Idle, archiving with the probes, and archiving alone, in turn."""
    work = Archiving(rig, bars := bars_of(plan.size(ENTRIES, 40)))
    seen: dict[str, list[list[float]]] = {f"{name}_{when}": [] for name in PROBES for when in ("idle", "archiving")}

    def probed(when: str) -> float:
        with ExitStack() as stack:
            probes = {name: stack.enter_context(worker(rig, f"probe-{name}")) for name in PROBES}
            began = time.perf_counter()
            if when == "archiving":
                work.cycle()
            else:
                time.sleep(_IDLE_SECONDS * min(plan.scale, 1))
            took = time.perf_counter() - began
            for name, probe in probes.items():
                seen[f"{name}_{when}"].append(np.quantile(probe.finish(), [0.5, 0.99, 1]).tolist())
        return took

    def archiving() -> float:
        work.prepare()
        return probed("archiving")

    plan.say(f"{work.size} with probes, {plan.repeat} times")
    works = {"archiving": archiving, "idle": lambda: probed("idle"), "alone": work.serial}
    times = alternate(plan.repeat, works)
    kept = ratios(times["alone"], times["archiving"])
    size = f"{work.size}; {', '.join(f'{probe.rate:,} {probe.words} a second' for probe in PROBES.values())}"
    shared = {
        "rows_per_second": rates(bars.count, times["archiving"]),
        "rows_per_second_alone": rates(bars.count, times["alone"]),
        "share_of_the_rate_kept": kept.as_json(),
    }
    outcomes = {}
    for name in PROBES:
        columns = {
            f"{when}_{which}": [row[at] for row in seen[f"{name}_{when}"]]
            for at, which in enumerate(("p50", "p99", "longest"))
            for when in ("idle", "archiving")
        }
        outcomes[f"live-latency-{name}"] = Outcome(
            ratios(columns["archiving_p99"], columns["idle_p99"]),
            size,
            {**spreads(columns), **shared},
            also=kept.median >= _LEAST_RATE,
        )
    return outcomes


LIVE_LATENCY = Bench(
    "live-latency",
    tuple(
        Promise(
            f"live-latency-{name}",
            f"p99 of another client's {probe.words} while `archive` runs, open loop",
            "the same client while nothing runs",
            RatioTarget("at most", 3, f"at ≥ {_LEAST_RATE:g} of the rate"),
        )
        for name, probe in PROBES.items()
    ),
    run_live_latency,
)
