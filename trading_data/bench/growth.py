"""Benches `growth` and `memory`: costs at 1, 10 and 100 times the size.

`growth` checks that the time of archive, read and status grows no faster than the work; `memory` that the archiver's peak
resident size does not grow with the backlog.
"""

from collections.abc import Callable, Mapping, Sequence

from trading_data import MarketData
from trading_data.bench.cycle import archived, run_cycle
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    Ratio,
    RatioTarget,
    Spread,
    alternate,
    per_call,
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
        "entries": small,
        "entries_of_the_large_backlog": _LARGER * small,
        "peak_bytes": Spread.of(peaks["small"]).as_json(),
        "peak_bytes_of_the_large_backlog": Spread.of(peaks["large"]).as_json(),
    }
    return {"memory": Outcome(Ratio.of(peaks["large"], peaks["small"]), figures)}


MEMORY = Bench(
    "memory",
    (
        Promise(
            "memory",
            "peak resident size of archiving 4 million waiting entries",
            "the same for 400 thousand",
            RatioTarget("at most", 1.2),
        ),
    ),
    run_memory,
)


TIMES = (1, 10, 100)
SMOKE_TIMES = (1, 2)
"""For scales below a hundredth, which only show that the bench works."""
_CALLS = 5


def run_growth(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Each curve in turn."""
    curves: Mapping[str, Callable[[BenchRig, BenchPlan], Outcome]] = {
        "growth-archive": _backlog,
        "growth-archive-symbols": _symbols,
        "growth-read": _read,
        "growth-status": _status,
    }
    outcomes = {}
    for name, curve in curves.items():
        plan.say(f"{name} at {', '.join(f'{times}×' for times in _times(plan))}, {plan.repeat} times")
        outcomes[name] = curve(rig, plan)
    return outcomes


def _times(plan: BenchPlan) -> tuple[int, ...]:
    return TIMES if plan.scale >= 0.01 else SMOKE_TIMES


def _backlog(rig: BenchRig, plan: BenchPlan) -> Outcome:
    least = plan.size(100, 2)
    return _curve(
        plan, "entries", [Bars(50, least * times) for times in _times(plan)], lambda bars: _archive(rig, bars)
    )


def _symbols(rig: BenchRig, plan: BenchPlan) -> Outcome:
    each = plan.size(300, 2)
    return _curve(plan, "entries", [Bars(10 * times, each) for times in _times(plan)], lambda bars: _archive(rig, bars))


def _archive(rig: BenchRig, bars: Bars) -> float:
    rig.clean()
    rig.journalled(bars)
    return seconds(lambda: run_cycle(rig.client, rig.archive, rig.intake, rig.earliest).expect("inserted", bars.count))


def _read(rig: BenchRig, plan: BenchPlan) -> Outcome:
    rig.clean()
    least = plan.size(3)
    archived(rig, Bars(2, least * _times(plan)[-1] * MINUTES_A_DAY))
    reader, today = MarketData(rig.client, rig.archive, rig.intake, rig.earliest), day_start(now().date())

    def measure(bars: Bars) -> float:
        return per_call(lambda: reader.prices("S0001", today - len(bars.days) * DAY, today), _CALLS)

    return _curve(plan, "rows", [Bars(1, least * times * MINUTES_A_DAY) for times in _times(plan)], measure)


def _status(rig: BenchRig, plan: BenchPlan) -> Outcome:
    """The same number of symbols, each with a waiting journal, and of days in the archive."""
    least = plan.size(3)

    def measure(bars: Bars) -> float:
        rig.clean()
        archived(rig, Bars(1, len(bars.days) * MINUTES_A_DAY))
        rig.journalled(Bars(bars.count, 2))
        return per_call(lambda: gather(rig.client, rig.archive, rig.intake), _CALLS)

    return _curve(plan, "symbols_and_days", [Bars(1, least * times) for times in _times(plan)], measure)


def _curve(plan: BenchPlan, unit: str, sizes: Sequence[Bars], cost: Callable[[Bars], float]) -> Outcome:
    """The cost at each size; the ratio is the cost of a unit of work at the largest size by that at the smallest."""
    costs: dict[int, list[float]] = {at: [] for at in range(len(sizes))}
    for _ in range(plan.repeat):
        for at, bars in enumerate(sizes):
            costs[at].append(cost(bars))
    points = [
        {"times": times, unit: bars.count, "seconds": Spread.of(costs[at]).as_json()}
        for at, (times, bars) in enumerate(zip(_times(plan), sizes, strict=True))
    ]
    by_unit = [[cost_ / bars.count for cost_ in costs[at]] for at, bars in enumerate(sizes)]
    return Outcome(Ratio.of(by_unit[-1], by_unit[0]), {"curve": points})


GROWTH = Bench(
    "growth",
    tuple(
        Promise(name, measures, "the same per unit of work, for a hundredth of the work", RatioTarget("at most", 1))
        for name, measures in {
            "growth-archive": "a waiting entry's cost in `archive`, for a backlog a hundred times as long",
            "growth-archive-symbols": "the same for a hundred times as many symbols",
            "growth-read": "a row's cost in a read of one symbol over a hundred times as many days",
            "growth-status": "`status` by symbols and days, for a hundred times as many of both",
        }.items()
    ),
    run_growth,
)
