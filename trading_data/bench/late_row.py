"""Benches `late-row` and `reload`: rows that arrive late, and rows that arrive again.

`late-row` follows one late bar in a compressed chunk until the coarsest aggregate shows it, against the bare refreshes. `reload`
archives the same bars a second time, against the first time, and measures the log that this writes.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from psycopg2.sql import SQL, Identifier

from trading_data import Bar, LiveStore
from trading_data.archive.aggregates.refresh import refresh, window
from trading_data.archive.chunks import chunks, compress
from trading_data.archive.sql import identifiers
from trading_data.bench.cycle import Cycle, archived, run_cycle
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    Ratio,
    RatioTarget,
    Spread,
    alternate,
    seconds,
    spreads,
)
from trading_data.bench.rows import MINUTES_A_DAY, SOURCE, Bars, bars_of, journal
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.times import DAY, day_start, now

_RELOADED_ENTRIES = 1_000_000
_MOST_LOG_BYTES = 5
_LATER_MS = 1_750_000_000_000


def run_reload(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """The first and the second time, `repeat` times; their order is fixed, because the second needs the first."""
    bars = bars_of(plan.size(_RELOADED_ENTRIES, 40))
    cycles: dict[str, list[Cycle]] = {"first": [], "again": []}
    times: dict[str, list[float]] = {"first": [], "again": []}
    log: list[float] = []

    def run_once(name: str) -> None:
        cycles[name].append(run_cycle(rig.client, rig.archive, rig.intake, rig.earliest))

    plan.say(f"{bars.count:,} entries twice, {plan.repeat} times")
    for _ in range(plan.repeat):
        rig.clean()
        rig.journalled(bars)
        times["first"].append(seconds(lambda: run_once("first")))
        cycles["first"][-1].expect("inserted", bars.count)
        journal(rig.client, bars, _LATER_MS)
        before = _wal_position(rig)
        times["again"].append(seconds(lambda: run_once("again")))
        log.append((_wal_position(rig) - before) / bars.count)
        cycles["again"][-1].expect("unchanged", bars.count)
    load = {name: [cycle.load_seconds for cycle in runs] for name, runs in cycles.items()}
    figures = {
        "entries": bars.count,
        **spreads(times),
        **spreads({f"{name}_load_and_trim": values for name, values in load.items()}),
        "load_and_trim_ratio": Ratio.of(load["again"], load["first"]).value,
        "log_bytes_per_row": Spread.of(log).as_json(),
    }
    also = Spread.of(log).median <= _MOST_LOG_BYTES
    return {"reload": Outcome(Ratio.of(times["again"], times["first"]), figures, also=also)}


def _wal_position(rig: BenchRig) -> int:
    with rig.archive.transaction(snapshot=True) as cursor:
        cursor.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
        return int((cursor.fetchone() or (0,))[0])


RELOAD = Bench(
    "reload",
    (
        Promise(
            "reload",
            "the same bars in the journals again → rows found unchanged, with everything that `archive` does",
            "the same bars the first time",
            RatioTarget("at most", 0.8, f"and ≤ {_MOST_LOG_BYTES} bytes of log a row"),
        ),
    ),
    run_reload,
)


_LATE_SYMBOLS = 500
_DAYS_BACK = 100
_VALUES = (50.0, 51.0, 49.0, 50.5, 100.0)


def run_late_row(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Each late bar is a minute later than the one before; the chunk is compressed again before each."""
    rig.clean()
    day = day_start(now().date()) - DAY * _DAYS_BACK
    archived(rig, Bars(plan.size(_LATE_SYMBOLS, 2), MINUTES_A_DAY, until=day + DAY))
    late = _LateBars(rig, day)
    plan.say(f"one late bar {_DAYS_BACK} days back, {plan.repeat} times")
    times = alternate(plan.repeat, {"subject": late.subject, "reference": late.reference})
    figures = {**spreads({**times, "cycle": late.cycles, "refresh": late.refreshes}), "rows_of_the_chunk": late.rows}
    return {"late-row": Outcome(Ratio.of(times["subject"], times["reference"]), figures)}


class _LateBars:
    """A day in the archive, and its late bars."""

    def __init__(self, rig: BenchRig, day: datetime) -> None:
        self._rig, self._next = rig, day + timedelta(hours=21, minutes=30)
        self.cycles: list[float] = []
        self.refreshes: list[float] = []
        with rig.archive.transaction(snapshot=True) as cursor:
            cursor.execute("select count(*) from price_data")
            self.rows = (cursor.fetchone() or (0,))[0]
        self.subject()
        self.reference()
        self.cycles.clear()
        self.refreshes.clear()

    def subject(self) -> float:
        """Snapshot, load, trim, three refreshes; fails unless the aggregates show the bar."""
        bar = self._prepare()
        rig = self._rig
        LiveStore(rig.client).record_prices([bar])

        def archive_and_refresh() -> None:
            began = time.perf_counter()
            run_cycle(rig.client, rig.archive, rig.intake, rig.earliest)
            self.cycles.append(time.perf_counter() - began)
            refresh(rig.archive, PRICE, PRICE.aggregates[-1])  # refreshes the two aggregates below first
            self.refreshes.append(time.perf_counter() - began - self.cycles[-1])

        took = seconds(archive_and_refresh)
        self._check(bar)
        return took

    def reference(self) -> float:
        """The row is inserted unmeasured; then three refreshes of its buckets, in SQL."""
        bar = self._prepare()
        with self._rig.connection() as connection, connection.cursor() as cursor:
            cursor.execute(
                SQL("insert into price_data ({}) values %s").format(identifiers([*PRICE.names, "batch_id"])),
                ((*(getattr(bar, name) for name in PRICE.names), 0),),
            )
            windows = [
                (aggregate.name, *window(aggregate, bar.timestamp, bar.timestamp)) for aggregate in PRICE.aggregates
            ]

            def refreshes() -> None:
                for window in windows:
                    cursor.execute("call refresh_continuous_aggregate(%s, %s, %s)", window)

            took = seconds(refreshes)
        self._check(bar)
        return took

    def _prepare(self) -> Bar:
        for chunk in chunks(self._rig.archive, PRICE):
            compress(self._rig.archive, chunk)
        self._next += timedelta(minutes=1)
        return Bar("S0001", self._next, *_VALUES, SOURCE)

    def _check(self, bar: Bar) -> None:
        for aggregate in PRICE.aggregates:
            low, _ = window(aggregate, bar.timestamp, bar.timestamp)
            with self._rig.archive.transaction(snapshot=True) as cursor:
                cursor.execute(
                    SQL("select close from {} where symbol = %s and bucket = %s").format(Identifier(aggregate.name)),
                    (bar.symbol, low),
                )
                if cursor.fetchone() != (bar.close,):
                    raise ServerError(f"{aggregate.name} does not show a late bar after its refresh, which is a bug")


LATE_ROW = Bench(
    "late-row",
    (
        Promise(
            "late-row",
            "one late bar in a compressed chunk 100 days back: journal → archived, and visible in 5m, 1h and 1d",
            "the three refreshes of its buckets in SQL, with the row in the table already",
            RatioTarget("at most", 2),
        ),
    ),
    run_late_row,
)
