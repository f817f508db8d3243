"""Bench `late-row`: one late bar in a compressed chunk until the coarsest aggregate shows it, against the bare refreshes."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from psycopg2.sql import SQL, Identifier

from trading_data import Bar, LiveStore
from trading_data.archive.aggregates.refresh import refresh, window
from trading_data.archive.chunks import chunks, compress
from trading_data.archive.sql import identifiers
from trading_data.bench.cycle import archived, run_cycle
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    alternate,
    ratios,
    seconds,
    spreads,
)
from trading_data.bench.references.maintenance import refreshes
from trading_data.bench.rows import MINUTES_A_DAY, SOURCE, Bars
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.times import DAY, day_start, now

_FEW_SYMBOLS, _MANY_SYMBOLS = 5, 500
_DAYS_BACK = 100
_VALUES = (50.0, 51.0, 49.0, 50.5, 100.0)


def run_late_row(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Each late bar is a minute later than the one before; the chunk is compressed again before each.

    First in a chunk of five symbols, then of five hundred, so that these two are not measured in turn.
    """
    day = day_start(now().date()) - DAY * _DAYS_BACK
    times: dict[int, dict[str, list[float]]] = {}
    figures: dict[str, object] = {}
    few, many = _FEW_SYMBOLS, plan.size(_MANY_SYMBOLS, _FEW_SYMBOLS)
    for symbols in (few, many):
        rig.clean()
        archived(rig, Bars(symbols, MINUTES_A_DAY, until=day + DAY))
        late = _LateBars(rig, day)
        plan.say(f"one late bar {_DAYS_BACK} days back in a chunk of {symbols} symbols, {plan.repeat} times")
        times[symbols] = alternate(plan.repeat, {"product": late.subject, "reference": late.reference})
        figures = spreads({**times[symbols], "cycle": late.cycles, "refresh": late.refreshes})
    return {
        "late-row": Outcome(
            ratios(times[many]["product"], times[many]["reference"]),
            f"a chunk of {many * MINUTES_A_DAY:,} rows, {many} symbols",
            figures,
        ),
        "late-row-symbols": Outcome(
            ratios(times[many]["product"], times[few]["product"]), f"chunks of {many} and {few} symbols"
        ),
    }


class _LateBars:
    """A day in the archive, and its late bars."""

    def __init__(self, rig: BenchRig, day: datetime) -> None:
        self._rig, self._next = rig, day + timedelta(hours=21, minutes=30)
        self.cycles: list[float] = []
        self.refreshes: list[float] = []
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
            took = refreshes(
                connection,
                [(aggregate.name, *window(aggregate, bar.timestamp, bar.timestamp)) for aggregate in PRICE.aggregates],
            )
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
            RatioTarget("at most", 1.5),
            "maintenance.py",
        ),
        Promise(
            "late-row-symbols",
            "the same in a chunk of 500 symbols",
            "the same in a chunk of 5 symbols",
            RatioTarget("at most", 1.1),
        ),
    ),
    run_late_row,
)
