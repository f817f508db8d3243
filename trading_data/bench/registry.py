"""All benches, in the order in which they run.

Belongs here: the list, and running some of it. Does not: measuring, and showing what was found (`report`).
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from subprocess import SubprocessError
from typing import Any

import psycopg2
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trading_data.bench import (
    archive,
    backfill,
    compress,
    growth,
    idle,
    late_row,
    live_latency,
    memory,
    parallel,
    read,
    reload,
    startup,
    write,
)
from trading_data.bench.machine import conditions, machine, versions
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise
from trading_data.bench.servers import BenchRig, serve
from trading_data.errors import BadInput, TradingDataError
from trading_data.settings import Settings
from trading_data.times import now

_MODULES = (
    archive,
    parallel,
    live_latency,
    reload,
    late_row,
    backfill,
    read,
    write,
    memory,
    compress,
    startup,
    idle,
    growth,
)
BENCHES: dict[str, Bench] = {module.BENCH.name: module.BENCH for module in _MODULES}

Entry = dict[str, Any]
"""One promise as it goes into the JSON."""


@dataclass(frozen=True)
class BenchResult:
    """A bench that was run: its entries, or why it failed."""

    bench: Bench
    entries: list[Entry] = field(default_factory=list)
    failed: str = ""


def chosen(names: Iterable[str]) -> list[Bench]:
    """The benches of these names (a promise's name means its bench), in their order; all where there is none.

    Raises:
        BadInput: there is none of a name.
    """
    owner = {promise.name: bench.name for bench in BENCHES.values() for promise in bench.promises}
    wanted = set()
    for name in names:
        if name not in BENCHES and name not in owner:
            raise BadInput(f"there is no bench {name!r}; there are {', '.join(BENCHES)}")
        wanted.add(name if name in BENCHES else owner[name])
    return [bench for bench in BENCHES.values() if not wanted or bench.name in wanted]


def run(benches: list[Bench], given: Settings, plan: BenchPlan) -> Iterator[BenchResult]:
    """Run benches one after the other, on the same servers; one that fails does not keep the others from running.

    Raises:
        Refused: the live tier that `given` names is not empty.
        ServerError: the servers cannot be had.
    """
    with ExitStack() as stack:
        rig: BenchRig | None = None
        for bench in benches:
            if bench.own_servers:
                yield run_one(bench, None, plan)
                continue
            if rig is None:
                rig = stack.enter_context(serve(given, plan.say))
            yield run_one(bench, rig, plan)


def run_one(bench: Bench, rig: BenchRig | None, plan: BenchPlan) -> BenchResult:
    """Run one bench; `rig` None for one with servers of its own."""
    began, before = now(), conditions(plan, rig)
    try:
        outcomes = bench.run(rig, plan)  # type: ignore[arg-type]
        known = versions(rig)
    except (TradingDataError, psycopg2.Error, RedisError, SQLAlchemyError, SubprocessError, OSError) as error:
        return BenchResult(bench, failed=" ".join(str(error).split()) or type(error).__name__)
    surroundings = {
        "versions": known,
        "machine": machine(),
        "conditions": {**before, "seconds": round((now() - began).total_seconds(), 1)},
        "at": began.isoformat(timespec="seconds"),
    }
    return BenchResult(bench, [_entry(promise, outcomes[promise.name]) | surroundings for promise in bench.promises])


def _entry(promise: Promise, outcome: Outcome) -> Entry:
    ratio, target = outcome.ratio, promise.target
    return {
        "name": promise.name,
        "ratio": float(f"{ratio.value:.5g}"),
        "target": None if target is None else str(target),
        "met": None if target is None else target.met_by(ratio.value) and outcome.also,
        "measures": promise.measures,
        "reference": promise.reference,
        "figures": {"ratio": ratio.spread.as_json(), **outcome.figures},
    }
