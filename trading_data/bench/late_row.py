"""Bench `late-row`: one late bar in a compressed chunk, until the coarsest aggregate is right.

Belongs here: the way of one row against the bare refreshes. Does not: the cycle.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from psycopg2.sql import SQL, Identifier

from trading_data import Bar, LiveStore
from trading_data.archive.aggregates.refresh import refresh, window
from trading_data.archive.chunks import chunks, compress
from trading_data.archive.sql import identifiers
from trading_data.bench.cycle import run_cycle
from trading_data.bench.fixtures import archived
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    Ratio,
    RatioTarget,
    alternate,
    seconds,
    spreads,
)
from trading_data.bench.rows import MINUTES_A_DAY, SOURCE, Bars
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.times import DAY, day_start, now

_SYMBOLS = 500
_DAYS_BACK = 100
_VALUES = (50.0, 51.0, 49.0, 50.5, 100.0)


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Each late bar is a minute later than the one before; the chunk is packed again before it."""
    rig.clean()
    day = day_start(now().date()) - DAY * _DAYS_BACK
    archived(rig, Bars(plan.size(_SYMBOLS, 2), MINUTES_A_DAY, until=day + DAY))
    late = _Late(rig, day)
    plan.say(f"one late bar {_DAYS_BACK} days back, {plan.repeat} times")
    times = alternate(plan.repeat, {"subject": late.subject, "reference": late.reference})
    figures = {**spreads({**times, "cycle": late.cycles, "refresh": late.refreshes}), "rows_of_the_chunk": late.rows}
    return {"late-row": Outcome(Ratio.of(times["subject"], times["reference"]), figures)}


class _Late:
    """A day in the archive, and one late bar after the other."""

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
        """Snapshot, load, trim, three refreshes; then a look at the coarsest aggregate."""
        bar = self._prepare()
        rig = self._rig
        LiveStore(rig.client).record_prices([bar])

        def way() -> None:
            began = time.perf_counter()
            run_cycle(rig.client, rig.archive, rig.intake, rig.earliest)
            self.cycles.append(time.perf_counter() - began)
            refresh(rig.archive, PRICE, PRICE.aggregates[-1])  # it is built on the two others, and refreshes them first
            self.refreshes.append(time.perf_counter() - began - self.cycles[-1])

        took = seconds(way)
        self._look(bar)
        return took

    def reference(self) -> float:
        """The row is there; three refreshes of the buckets that hold it, in SQL."""
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
        self._look(bar)
        return took

    def _prepare(self) -> Bar:
        for chunk in chunks(self._rig.archive, PRICE):
            compress(self._rig.archive, chunk)
        self._next += timedelta(minutes=1)
        return Bar("S0001", self._next, *_VALUES, SOURCE)

    def _look(self, bar: Bar) -> None:
        for aggregate in PRICE.aggregates:
            low, _ = window(aggregate, bar.timestamp, bar.timestamp)
            with self._rig.archive.transaction(snapshot=True) as cursor:
                cursor.execute(
                    SQL("select close from {} where symbol = %s and bucket = %s").format(Identifier(aggregate.name)),
                    (bar.symbol, low),
                )
                if cursor.fetchone() != (bar.close,):
                    raise ServerError(f"{aggregate.name} does not show a late bar after its refresh: this is a bug")


BENCH = Bench(
    "late-row",
    (
        Promise(
            "late-row",
            "one late bar in a compressed chunk 100 days back: journal → archived, and right in 5m, 1h and 1d",
            "the three refreshes of its buckets in SQL, the row being there",
            RatioTarget("at most", 2),
        ),
    ),
    run,
)
