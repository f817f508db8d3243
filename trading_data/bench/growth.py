"""Bench `growth`: cost grows no faster than the work, at once, ten and a hundred times the size.

Belongs here: the curves of archive, read and status. Does not: what they cost in themselves (`archive`, `read`).
"""

from collections.abc import Callable, Mapping, Sequence

from trading_data import MarketData
from trading_data.bench.cycle import run_cycle
from trading_data.bench.fixtures import archived
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget, Spread, per_call, seconds
from trading_data.bench.rows import MINUTES_A_DAY, Bars
from trading_data.bench.servers import BenchRig
from trading_data.operations.status import gather
from trading_data.times import DAY, day_start, now

TIMES = (1, 10, 100)
SMOKE_TIMES = (1, 2)
"""Below a hundredth of the scale, where a run only shows that all of it works."""
_CALLS = 5


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """One curve after the other."""
    curves: Mapping[str, Callable[[BenchRig, BenchPlan], Outcome]] = {
        "growth-archive": _backlog,
        "growth-archive-symbols": _symbols,
        "growth-read": _read,
        "growth-status": _status,
    }
    found = {}
    for name, curve in curves.items():
        plan.say(f"{name} at {', '.join(f'{times}×' for times in _times(plan))}, {plan.repeat} times")
        found[name] = curve(rig, plan)
    return found


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

    def ask(bars: Bars) -> float:
        return per_call(lambda: reader.prices("S0001", today - len(bars.days) * DAY, today), _CALLS)

    return _curve(plan, "rows", [Bars(1, least * times * MINUTES_A_DAY) for times in _times(plan)], ask)


def _status(rig: BenchRig, plan: BenchPlan) -> Outcome:
    """So many symbols, each with a journal that waits, over so many days in the archive."""
    least = plan.size(3)

    def ask(bars: Bars) -> float:
        rig.clean()
        archived(rig, Bars(1, len(bars.days) * MINUTES_A_DAY))
        rig.journalled(Bars(bars.count, 2))
        return per_call(lambda: gather(rig.client, rig.archive, rig.intake), _CALLS)

    return _curve(plan, "symbols_and_days", [Bars(1, least * times) for times in _times(plan)], ask)


def _curve(plan: BenchPlan, unit: str, sizes: Sequence[Bars], cost: Callable[[Bars], float]) -> Outcome:
    """The cost of each size in turn; the ratio is how much more a unit of work costs at the largest than at the smallest."""
    found: dict[int, list[float]] = {at: [] for at in range(len(sizes))}
    for _ in range(plan.repeat):
        for at, bars in enumerate(sizes):
            found[at].append(cost(bars))
    points = [
        {"times": times, unit: bars.count, "seconds": Spread.of(found[at]).as_json()}
        for at, (times, bars) in enumerate(zip(_times(plan), sizes, strict=True))
    ]
    by_unit = [[one / bars.count for one in found[at]] for at, bars in enumerate(sizes)]
    return Outcome(Ratio.of(by_unit[-1], by_unit[0]), {"curve": points})


BENCH = Bench(
    "growth",
    tuple(
        Promise(name, measures, "a hundredth of the work, by the unit of work", RatioTarget("at most", 1))
        for name, measures in {
            "growth-archive": "a waiting entry's cost in `archive`, for a backlog a hundred times as long",
            "growth-archive-symbols": "the same for a hundred times as many symbols",
            "growth-read": "a row's cost in a read of one symbol over a hundred times as many days",
            "growth-status": "`status` by symbols and days, for a hundred times as many of both",
        }.items()
    ),
    run,
)
