"""Bench `reload`: what the archive holds already comes again.

Belongs here: the second time against the first, and the log that it writes. Does not: the cycle.
"""

from collections.abc import Mapping

from trading_data.bench.cycle import Cycle, run_cycle
from trading_data.bench.measure import Bench, BenchPlan, Outcome, Promise, Ratio, RatioTarget, Spread, seconds, spreads
from trading_data.bench.rows import bars_of, journal
from trading_data.bench.servers import BenchRig

_ENTRIES = 1_000_000
_LEAST_LOG = 5
_LATER_MS = 1_750_000_000_000


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """First and second time, `repeat` times over. The second cannot come before the first, so their order is fixed."""
    bars = bars_of(plan.size(_ENTRIES, 40))
    cycles: dict[str, list[Cycle]] = {"first": [], "again": []}
    times: dict[str, list[float]] = {"first": [], "again": []}
    log: list[float] = []

    def cycle(name: str) -> None:
        cycles[name].append(run_cycle(rig.client, rig.archive, rig.intake, rig.earliest))

    plan.say(f"{bars.count:,} entries twice, {plan.repeat} times")
    for _ in range(plan.repeat):
        rig.clean()
        rig.journalled(bars)
        times["first"].append(seconds(lambda: cycle("first")))
        cycles["first"][-1].expect("inserted", bars.count)
        journal(rig.client, bars, _LATER_MS)
        before = _log_position(rig)
        times["again"].append(seconds(lambda: cycle("again")))
        log.append((_log_position(rig) - before) / bars.count)
        cycles["again"][-1].expect("unchanged", bars.count)
    load = {name: [one.load_seconds for one in done] for name, done in cycles.items()}
    figures = {
        "entries": bars.count,
        **spreads(times),
        **spreads({f"{name}_load_and_trim": values for name, values in load.items()}),
        "load_and_trim_ratio": Ratio.of(load["again"], load["first"]).value,
        "log_bytes_per_row": Spread.of(log).as_json(),
    }
    also = Spread.of(log).median <= _LEAST_LOG
    return {"reload": Outcome(Ratio.of(times["again"], times["first"]), figures, also=also)}


def _log_position(rig: BenchRig) -> int:
    with rig.archive.transaction(snapshot=True) as cursor:
        cursor.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
        return int((cursor.fetchone() or (0,))[0])


BENCH = Bench(
    "reload",
    (
        Promise(
            "reload",
            "equal bars journalled again → found unchanged, with everything that `archive` does",
            "the same bars the first time",
            RatioTarget("at most", 0.8, f"and ≤ {_LEAST_LOG} bytes of log a row"),
        ),
    ),
    run,
)
