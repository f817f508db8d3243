"""Bench `read`: three common queries, through `MarketData` and bare.

From a fifth of the full scale on, a query has the size that the promise names (five days, a year, 500 symbols), because the fixed
cost of a query weighs more in a smaller one; a larger scale only adds other rows. The reference is the same query over one open
connection, made into a data frame. Both frames are compared, values and types, before anything is measured. The figures
include the time of the query without a frame, as bare tuples.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from trading_data import Bar, LiveStore, MarketData
from trading_data.bench.cycle import archived
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    Ratio,
    RatioTarget,
    Work,
    alternate,
    per_call,
    spreads,
)
from trading_data.bench.rows import MINUTES_A_DAY, Bars
from trading_data.bench.servers import BenchRig
from trading_data.errors import ServerError
from trading_data.live.connection import connect
from trading_data.live.keys import KEYS
from trading_data.times import DAY, day_start, now

_SYMBOLS = 500
_YEAR = 252
_YEAR_SYMBOLS = 10
_CALLS = 20
_RAW = """
    select symbol, timestamp, open, high, low, close, volume, source from price_data
    where symbol = %s and timestamp >= %s and timestamp < %s order by timestamp
"""
_HOURS = """
    select symbol, bucket, open, high, low, close, volume from price_1h
    where symbol = %s and bucket >= %s and bucket < %s order by bucket
"""


def run_read(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Each query in turn, on its own rows."""
    reader = MarketData(rig.client, rig.archive, rig.intake, rig.earliest)
    outcomes = {}
    for name, query in (("read-two-tiers", _two_tiers), ("read-year", _year), ("read-latest", _latest)):
        plan.say(f"{name}, {plan.repeat} times")
        outcomes[name] = query(rig, reader, plan)
    return outcomes


def _two_tiers(rig: BenchRig, reader: MarketData, plan: BenchPlan) -> Outcome:
    today, symbols = day_start(now().date()), plan.size(_SYMBOLS, 2)
    rig.clean()
    live = Bars(symbols, MINUTES_A_DAY)
    archived(rig, Bars(symbols, 4 * MINUTES_A_DAY, until=today - DAY))
    rig.journalled(live)
    arguments = ("S0001", today - DAY * 5, today)
    frame = reader.prices(*arguments)
    _expect(len(frame), 5 * MINUTES_A_DAY)
    outcome = _against_sql(rig, plan, lambda: reader.prices(*arguments), _RAW, arguments)
    tiers = frame["tier"].value_counts().to_dict()
    return Outcome(outcome.ratio, {**outcome.figures, **{f"rows_{tier}": int(count) for tier, count in tiers.items()}})


def _year(rig: BenchRig, reader: MarketData, plan: BenchPlan) -> Outcome:
    today, days = day_start(now().date()), min(_YEAR, plan.size(5 * _YEAR, 2))
    rig.clean()
    archived(rig, Bars(plan.size(_YEAR_SYMBOLS, 2), days * MINUTES_A_DAY))
    arguments = ("S0001", today - DAY * days, today)
    rows = len(reader.prices(*arguments, "1h"))
    _expect(rows, 7 * days)
    outcome = _against_sql(rig, plan, lambda: reader.prices(*arguments, "1h"), _HOURS, arguments)
    return Outcome(outcome.ratio, {**outcome.figures, "rows": rows})


def _latest(rig: BenchRig, reader: MarketData, plan: BenchPlan) -> Outcome:
    rig.clean()
    symbols = min(_SYMBOLS, plan.size(5 * _SYMBOLS, 2))
    bars = Bars(symbols, 1)
    client = connect(rig.settings.require_redis_url())
    LiveStore(client).record_prices([Bar(**record) for record in bars.records(symbols)])
    _expect(len(reader.latest(bars.names)), symbols)

    def bare() -> None:
        pipeline: Any = client.pipeline(transaction=False)
        for name in bars.names:
            pipeline.hgetall(KEYS["price"].name(symbol=name))
        pipeline.execute()

    outcome = _compared(
        plan, lambda: per_call(lambda: reader.latest(bars.names), _CALLS), lambda: per_call(bare, _CALLS)
    )
    client.close()
    return Outcome(outcome.ratio, {**outcome.figures, "symbols": symbols})


def _against_sql(
    rig: BenchRig, plan: BenchPlan, read: Callable[[], pd.DataFrame], statement: str, values: tuple[object, ...]
) -> Outcome:
    with rig.connection() as connection, connection.cursor() as cursor:

        def tuples() -> list[tuple[Any, ...]]:
            cursor.execute(statement, values)
            return cursor.fetchall()

        def bare() -> pd.DataFrame:
            return pd.DataFrame(tuples(), columns=[column.name for column in cursor.description or ()])

        answer = read()
        archived_rows = answer[answer["tier"] == "archive"].drop(columns="tier")
        pd.testing.assert_frame_equal(bare(), archived_rows)
        return _compared(
            plan,
            lambda: per_call(read, _CALLS),
            lambda: per_call(bare, _CALLS),
            tuples=lambda: per_call(tuples, _CALLS),
        )


def _compared(plan: BenchPlan, subject: Work, reference: Work, **more: Work) -> Outcome:
    times = alternate(plan.repeat, {"subject": subject, "reference": reference, **more})
    return Outcome(Ratio.of(times["subject"], times["reference"]), spreads(times))


def _expect(rows: int, expected: int) -> None:
    if rows != expected:
        raise ServerError(f"a bench read {rows:,} rows instead of {expected:,}, which is a bug")


READ = Bench(
    "read",
    (
        Promise(
            "read-two-tiers",
            "five days of one symbol's bars, four of them archived and one in the journals, as a data frame",
            "the query of the archive alone, over one open connection, as a data frame",
            RatioTarget("at most", 2),
        ),
        Promise(
            "read-year",
            "a year of one symbol by the hour, as a data frame",
            "the query of the continuous aggregate alone, over one open connection, as a data frame",
            RatioTarget("at most", 1.5),
        ),
        Promise(
            "read-latest",
            "the latest bar of 500 symbols, as a data frame",
            "one pipeline of HGETALL, as redis-py's dicts",
            RatioTarget("at most", 1.5),
        ),
    ),
    run_read,
)
