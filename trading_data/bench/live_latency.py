"""Bench `live-latency`: what other clients of the live tier feel of the archiver.

Belongs here: probing while idle and while archiving. Does not: the probe (`child`).
"""

import time
from collections.abc import Mapping

import numpy as np

from trading_data.bench.archive import Archiving
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget, Spread, alternate, rates
from trading_data.bench.rows import bars_of
from trading_data.bench.servers import BenchRig
from trading_data.bench.worker import child

_ENTRIES = 500_000
_IDLE_SECONDS = 3.0
_LEAST_RATE = 0.8


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Idle, archiving under the eyes of the probe, archiving alone, in turn."""
    bars = bars_of(plan.size(_ENTRIES, 40))
    work = Archiving(rig, bars)
    idle_seconds = max(0.1, _IDLE_SECONDS * min(plan.scale, 1.0))
    medians: dict[str, list[float]] = {"idle": [], "archiving": []}
    watched: list[float] = []

    def percentile(which: str, samples: list[float]) -> float:
        medians[which].append(float(np.quantile(samples, 0.5)))
        return float(np.quantile(samples, 0.99))

    def idle() -> float:
        with child(rig, "probe") as prober:
            time.sleep(idle_seconds)
            return percentile("idle", prober.tell())

    def archiving() -> float:
        work.prepare()
        with child(rig, "probe") as prober:
            watched.append(work.cycle())
            return percentile("archiving", prober.tell())

    plan.say(f"{bars.count:,} entries under a GET every half millisecond, {plan.repeat} times")
    times = alternate(plan.repeat, {"archiving": archiving, "idle": idle, "alone": work.subject})
    kept = Ratio.of(times["alone"], watched)
    figures = {
        "entries": bars.count,
        **{f"{name}_p99_seconds": Spread.of(times[name]).as_json() for name in medians},
        **{f"{name}_p50_seconds": Spread.of(values).as_json() for name, values in medians.items()},
        "rows_per_second": rates(bars.count, watched),
        "rows_per_second_alone": rates(bars.count, times["alone"]),
        "share_of_the_rate_kept": kept.value,
    }
    return {
        "live-latency": Outcome(Ratio.of(times["archiving"], times["idle"]), figures, also=kept.value >= _LEAST_RATE)
    }


BENCH = Bench(
    "live-latency",
    (
        Promise(
            "live-latency",
            "p99 of another client's GET while `archive` runs",
            "the same client while nothing runs",
            RatioTarget("at most", 3, f"at ≥ {_LEAST_RATE:g} of the rate"),
        ),
    ),
    run,
)
