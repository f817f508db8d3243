"""Bench `memory`: the archiver's peak resident size does not grow with the backlog.

Belongs here: two backlogs. Does not: the process that is measured (`child`).
"""

from collections.abc import Mapping

from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget, Spread, alternate
from trading_data.bench.rows import bars_of
from trading_data.bench.servers import BenchRig
from trading_data.bench.worker import child
from trading_data.errors import ServerError

_ENTRIES = 400_000
_TIMES = 10


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Ten times the backlog, in a process of its own each time."""
    small = plan.size(_ENTRIES, 40)

    def peak(entries: int) -> float:
        bars = bars_of(entries)
        rig.clean()
        rig.journalled(bars)
        with child(rig, "archive") as one:
            found = one.tell()
        if found["inserted"] != bars.count:
            raise ServerError(f"{found['inserted']:,} of {bars.count:,} entries were archived")
        return float(found["peak_bytes"])

    plan.say(f"{small:,} and {_TIMES * small:,} waiting entries, {plan.repeat} times")
    found = alternate(plan.repeat, {"small": lambda: peak(small), "large": lambda: peak(_TIMES * small)})
    figures = {
        "entries": small,
        "entries_of_the_large_backlog": _TIMES * small,
        "peak_bytes": Spread.of(found["small"]).as_json(),
        "peak_bytes_of_the_large_backlog": Spread.of(found["large"]).as_json(),
    }
    return {"memory": Outcome(Ratio.of(found["large"], found["small"]), figures)}


BENCH = Bench(
    "memory",
    (
        Promise(
            "memory",
            "peak resident size of archiving 4 million waiting entries",
            "the same for 400 thousand",
            RatioTarget("at most", 1.2),
        ),
    ),
    run,
)
