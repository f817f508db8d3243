"""Bench `read`: common queries through `MarketData`, against ADBC into pandas and pipelined HGETALL.

Both sides answer with the same rows, which are compared before anything is measured. The archive has all rows that are read; the
reader looks into journals and intake as well. `read-waiting` reads the same while batches wait in the intake that do not hold it.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime

import pandas as pd

from trading_data import Bar, LiveStore, MarketData
from trading_data.bench.cycle import archived
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    Spread,
    alternate,
    per_call,
    ratios,
    spreads,
)
from trading_data.bench.references.read import Adbc, hashes
from trading_data.bench.rows import MINUTES_A_DAY, Bars
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.intake.import_rows import import_rows
from trading_data.live.connection import connect
from trading_data.live.keys import KEYS
from trading_data.times import DAY, day_start, now

_YEAR = 252
_SYMBOLS = 20
_LATEST = 500
_LATEST_MS = {"read-latest": 5, "read-latest-archive": 10}
_WAITING = (0, 1, 5, 10)
_WAITING_SYMBOLS = 500
_CALLS = 10
Read = Callable[[], pd.DataFrame]


def run_read(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Each query in turn, on its own rows."""
    reader = MarketData(rig.client, rig.archive, rig.intake, rig.earliest)
    with closing(Adbc(rig.plain_url)) as adbc:
        return _year(rig, reader, adbc, plan) | _day(rig, reader, adbc, plan) | _latest(rig, reader, adbc, plan)


def _year(rig: BenchRig, reader: MarketData, adbc: Adbc, plan: BenchPlan) -> dict[str, Outcome]:
    today, days = day_start(now().date()), plan.size(_YEAR, 2)
    rig.clean()
    archived(rig, Bars(2, days * MINUTES_A_DAY))
    return {"read-year": _bars(reader, adbc, plan, "S0001", today - DAY * days, today)}


def _day(rig: BenchRig, reader: MarketData, adbc: Adbc, plan: BenchPlan) -> dict[str, Outcome]:
    """A day back, with bars of today in the journals; then with waiting batches of other symbols and days."""
    today, symbols = day_start(now().date()), plan.size(_SYMBOLS, 2)
    rig.clean()
    archived(rig, Bars(symbols, 5 * MINUTES_A_DAY, until=today - DAY))
    rig.journalled(Bars(symbols, MINUTES_A_DAY, until=today))
    day = (today - DAY * 2, today - DAY)
    outcomes = {
        "read-day-all": _bars(reader, adbc, plan, None, *day),
        "read-day": _bars(reader, adbc, plan, "S0001", *day),
    }
    other = Bars(plan.size(_WAITING_SYMBOLS, 2), MINUTES_A_DAY, until=today - DAY * 10).table()
    works = {}
    waiting = 0

    def read_with(batches: int) -> float:
        nonlocal waiting
        if batches < waiting:
            rig.clean_intake()
            waiting = 0
        missing = [other] * (batches - waiting)
        waiting += sum(
            1 for _ in import_rows(rig.intake, PRICE, "bench", missing, origin="file", earliest=rig.earliest)
        )
        return per_call(lambda: reader.prices("S0001", *day), _calls(plan))

    for batches in _WAITING:
        works[f"{batches}_batches"] = lambda batches=batches: read_with(batches)
    plan.say(f"read-waiting, {plan.repeat} times")
    times = alternate(plan.repeat, works)
    rig.clean_intake()
    size = f"{MINUTES_A_DAY} rows, {_WAITING[-1]} batches of {other.num_rows:,} rows"
    most, none = times[f"{_WAITING[-1]}_batches"], times["0_batches"]
    return outcomes | {"read-waiting": Outcome(ratios(most, none), size, spreads(times))}


def _latest(rig: BenchRig, reader: MarketData, adbc: Adbc, plan: BenchPlan) -> dict[str, Outcome]:
    """Once from full hashes, once from the archive with nothing in the live tier."""
    bars = Bars(plan.size(_LATEST, 2), MINUTES_A_DAY)
    rig.clean()
    archived(rig, bars)

    def ours() -> pd.DataFrame:
        return reader.latest(bars.names)

    _same(ours(), adbc.latest(bars.names))
    empty = _compared(plan, "read-latest-archive", ours, lambda: adbc.latest(bars.names), len(bars.names))
    with closing(connect(rig.settings.require_redis_url())) as client:
        LiveStore(client).record_prices([Bar(**record) for record in Bars(len(bars.names), 1).records(len(bars.names))])
        keys = [KEYS["price"].name(symbol=name) for name in bars.names]
        latest = [fields for fields in hashes(client, keys) if fields]
        if not len(ours()) == len(latest) == len(keys):
            raise ServerError(
                f"a bench read {len(ours())} and {len(latest)} latest bars instead of {len(keys)}, which is a bug"
            )
        full = _compared(plan, "read-latest", ours, lambda: hashes(client, keys), len(keys))
    return {"read-latest": full, "read-latest-archive": empty}


def _bars(
    reader: MarketData,
    adbc: Adbc,
    plan: BenchPlan,
    symbol: str | None,
    start: datetime,
    end: datetime,
) -> Outcome:
    """Bars of one symbol or of all, ours and by ADBC."""

    def ours() -> pd.DataFrame:
        return reader.prices(symbol, start, end)

    def theirs() -> pd.DataFrame:
        return adbc.bars(symbol, start, end)

    _same(frame := ours(), theirs())
    return _compared(plan, f"{len(frame):,} rows", ours, theirs, len(frame))


def _same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Raise an error unless both have the same values; of types only the widths may differ."""
    pd.testing.assert_frame_equal(ours[list(theirs.columns)].reset_index(drop=True), theirs, check_dtype=False)


def _calls(plan: BenchPlan, rows: int = 1) -> int:
    """How often a read of so many rows is repeated in one measurement."""
    return max(1, min(_CALLS, plan.size(10 * _CALLS), 200_000 // rows))


def _compared(
    plan: BenchPlan, name: str, ours: Callable[[], object], theirs: Callable[[], object], rows: int
) -> Outcome:
    plan.say(f"read: {name}, {plan.repeat} times")
    calls = _calls(plan, rows)
    works = {"product": lambda: per_call(ours, calls), "reference": lambda: per_call(theirs, calls)}
    times = alternate(plan.repeat, works)
    also = Spread.of(times["product"]).median <= _LATEST_MS.get(name, 1e9) / 1000
    return Outcome(ratios(times["product"], times["reference"]), f"{rows:,} rows", spreads(times), also=also)


_ADBC = "ADBC: the query of the archive alone by binary COPY → Arrow → pandas, over one open connection"
READ = Bench(
    "read",
    (
        Promise(
            "read-year",
            "a year of one symbol's raw minutes, as a data frame",
            _ADBC,
            RatioTarget("at most", 1),
            "read.py",
        ),
        Promise(
            "read-day-all",
            "a day of all 20 symbols, both tiers looked at, as a data frame",
            _ADBC,
            RatioTarget("at most", 1.3),
            "read.py",
        ),
        Promise("read-day", "the same day of one symbol", _ADBC, RatioTarget("at most", 1.3), "read.py"),
        Promise(
            "read-waiting",
            "a day of one symbol while ten batches wait in the intake, none of which holds it",
            "the same read while none waits",
            RatioTarget("at most", 1.2),
        ),
        Promise(
            "read-latest",
            "the latest bar of 500 symbols, as a data frame",
            "one pipeline of HGETALL, as redis-py's dicts",
            RatioTarget("at most", 1, f"and ≤ {_LATEST_MS['read-latest']} ms"),
            "read.py",
        ),
        Promise(
            "read-latest-archive",
            "the same with nothing in the live tier",
            "ADBC: the newest row of each symbol by a lateral join, as a data frame",
            RatioTarget("at most", 2, f"and ≤ {_LATEST_MS['read-latest-archive']} ms"),
            "read.py",
        ),
    ),
    run_read,
)
