"""Benches `growth` and `memory`: costs at several sizes.

`growth` fits the exponent with which the time of archive, read and status grows, beyond what the smallest possible work costs;
`memory` compares the archiver's peak resident size for a backlog and ten times as much.
"""

from collections.abc import Callable, Mapping
from functools import partial

from trading_data import MarketData
from trading_data.bench.cycle import archived, run_cycle
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    Spread,
    alternate,
    exponent,
    per_call,
    ratios,
    seconds,
)
from trading_data.bench.rows import MINUTES_A_DAY, Bars, bars_of
from trading_data.bench.servers import BenchRig
from trading_data.bench.worker import worker
from trading_data.errors import ServerError
from trading_data.operations.status import gather
from trading_data.times import DAY, day_start, now

_SMALL_BACKLOG = 400_000
_LARGER = 10


def run_memory(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """A backlog and ten times as much, each archived in a new process."""
    small = plan.size(_SMALL_BACKLOG, 40)

    def peak(entries: int) -> float:
        bars = bars_of(entries)
        rig.clean()
        rig.journalled(bars)
        with worker(rig, "archive") as archiver:
            result = archiver.finish()
        if result["inserted"] != bars.count:
            raise ServerError(f"{result['inserted']:,} of {bars.count:,} entries were archived")
        return float(result["peak_bytes"])

    plan.say(f"{small:,} and {_LARGER * small:,} waiting entries, {plan.repeat} times")
    peaks = alternate(plan.repeat, {"small": lambda: peak(small), "large": lambda: peak(_LARGER * small)})
    figures = {
        "peak_bytes": Spread.of(peaks["small"]).as_json(),
        "peak_bytes_of_the_large_backlog": Spread.of(peaks["large"]).as_json(),
    }
    size = f"{_LARGER * small:,} and {small:,} entries"
    return {"memory": Outcome(ratios(peaks["large"], peaks["small"]), size, figures)}


MEMORY = Bench(
    "memory",
    (
        Promise(
            "memory",
            "peak resident size of archiving a backlog",
            "the same for a tenth of it",
            RatioTarget("at most", 1.1),
        ),
    ),
    run_memory,
)


_TIMES = (1, 4, 16, 64)
_LEAST = 2 * _TIMES[-1]
_CALLS = 5
Cost = Callable[[int], float]


def run_growth(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Each curve in turn: its unit, the largest size, and the cost of a size."""
    days = plan.size(256, _LEAST)
    curves: Mapping[str, tuple[str, int, Cost]] = {
        "growth-archive": ("entries of each of 50 symbols", 10_000, lambda size: _archive(rig, Bars(50, size))),
        "growth-archive-symbols": ("symbols with 200 entries", 2_560, lambda size: _archive(rig, Bars(size, 200))),
        "growth-read": ("days of one symbol", 256, _read(rig, days)),
        "growth-status": ("symbols and days", 256, lambda size: _status(rig, size)),
    }
    return {name: _curve(name, plan, *curve) for name, curve in curves.items()}


def _archive(rig: BenchRig, bars: Bars) -> float:
    rig.clean()
    rig.journalled(bars)
    return seconds(lambda: run_cycle(rig.client, rig.archive, rig.intake, rig.earliest).expect("inserted", bars.count))


def _read(rig: BenchRig, days: int) -> Cost:
    """Reads of so many days, of which the archive has `days`; they are archived before the first read."""
    reader, today = MarketData(rig.client, rig.archive, rig.intake, rig.earliest), day_start(now().date())
    filled: list[int] = []

    def cost(size: int) -> float:
        if not filled:
            rig.clean()
            archived(rig, Bars(2, days * MINUTES_A_DAY))
            filled.append(days)
        return per_call(lambda: reader.prices("S0001", today - size * DAY, today), _CALLS)

    return cost


def _status(rig: BenchRig, size: int) -> float:
    """The same number of symbols, each with a waiting journal, and of days in the archive."""
    rig.clean()
    archived(rig, Bars(1, size * MINUTES_A_DAY))
    rig.journalled(Bars(size, 2))
    return per_call(lambda: gather(rig.client, rig.archive, rig.intake), _CALLS)


def _curve(name: str, plan: BenchPlan, unit: str, largest: int, cost: Cost) -> Outcome:
    """The exponent over four sizes, each four times the one before, beyond the cost of size 1."""
    sizes = [plan.size(largest, _LEAST) * times // _TIMES[-1] for times in _TIMES]
    plan.say(f"{name}: {', '.join(map(str, sizes))} {unit}, {plan.repeat} times")
    works = {str(size): partial(cost, size) for size in (1, *sizes)}
    cost(1)
    times = alternate(plan.repeat, works)
    fixed = times["1"]
    rounds = zip(*(times[str(size)] for size in sizes), strict=True)
    fitted = [exponent(sizes, costs, spent) for costs, spent in zip(rounds, fixed, strict=True)]
    figures = {
        "fixed_seconds": Spread.of(fixed).as_json(),
        **{f"{size:,} {unit}: seconds": Spread.of(times[str(size)]).as_json() for size in sizes},
    }
    return Outcome(Spread.of(fitted), f"{', '.join(f'{size:,}' for size in sizes)} {unit}", figures)


GROWTH = Bench(
    "growth",
    tuple(
        Promise(name, measures, "beyond the fixed cost: linear growth has the exponent 1", RatioTarget("at most", 1.1))
        for name, measures in {
            "growth-archive": "exponent of the time of `archive` by the length of the backlog",
            "growth-archive-symbols": "exponent of the time of `archive` by the number of symbols",
            "growth-read": "exponent of the time of a read by the number of days",
            "growth-status": "exponent of the time of `status` by symbols and days",
        }.items()
    ),
    run_growth,
)
