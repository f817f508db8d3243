"""Bench `read`: three common questions, through `MarketData` and bare.

What is asked for has the size that the promise names from a fifth of the full scale on (five days, a year, 500 symbols), for
what a question costs by itself weighs more in a smaller one; above that a scale changes how much lies beside it. The reference
of a query is the same query over one open connection, made into a data frame as any user would: the reader's answer is one
too, and before anything is measured both are compared, values and types. What the query costs as bare tuples, without a
frame, is among the figures.

Belongs here: the questions. Does not: the reader.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trading_data import Bar, LiveStore, MarketData
from trading_data.bench.fixtures import archived
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

if TYPE_CHECKING:
    import pandas as pd

_SYMBOLS = 500
_YEAR = 252
_OF_THE_YEAR = 10
_CALLS = 20
_RAW = """
    select symbol, timestamp, open, high, low, close, volume, source from price_data
    where symbol = %s and timestamp >= %s and timestamp < %s order by timestamp
"""
_HOURS = """
    select symbol, bucket, open, high, low, close, volume from price_1h
    where symbol = %s and bucket >= %s and bucket < %s order by bucket
"""


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """One question after the other, each on a scene of its own."""
    reader = MarketData(rig.client, rig.archive, rig.intake, rig.earliest)
    found = {}
    for name, question in (("read-two-tiers", _two_tiers), ("read-year", _year), ("read-latest", _latest)):
        plan.say(f"{name}, {plan.repeat} times")
        found[name] = question(rig, reader, plan)
    return found


def _two_tiers(rig: BenchRig, reader: MarketData, plan: BenchPlan) -> Outcome:
    today, symbols = day_start(now().date()), plan.size(_SYMBOLS, 2)
    rig.clean()
    live = Bars(symbols, MINUTES_A_DAY)
    archived(rig, Bars(symbols, 4 * MINUTES_A_DAY, until=today - DAY))
    rig.journalled(live)
    asked = ("S0001", today - DAY * 5, today)
    frame = reader.prices(*asked)
    _expect(len(frame), 5 * MINUTES_A_DAY)
    outcome = _against_sql(rig, plan, lambda: reader.prices(*asked), _RAW, asked)
    tiers = frame["tier"].value_counts().to_dict()
    return Outcome(outcome.ratio, {**outcome.figures, **{f"rows_{tier}": int(count) for tier, count in tiers.items()}})


def _year(rig: BenchRig, reader: MarketData, plan: BenchPlan) -> Outcome:
    today, days = day_start(now().date()), min(_YEAR, plan.size(5 * _YEAR, 2))
    rig.clean()
    archived(rig, Bars(plan.size(_OF_THE_YEAR, 2), days * MINUTES_A_DAY))
    asked = ("S0001", today - DAY * days, today)
    rows = len(reader.prices(*asked, "1h"))
    _expect(rows, 7 * days)
    outcome = _against_sql(rig, plan, lambda: reader.prices(*asked, "1h"), _HOURS, asked)
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
    rig: BenchRig, plan: BenchPlan, ask: Callable[[], "pd.DataFrame"], statement: str, values: tuple[object, ...]
) -> Outcome:
    import pandas as pd

    with rig.connection() as connection, connection.cursor() as cursor:

        def tuples() -> list[tuple[Any, ...]]:
            cursor.execute(statement, values)
            return cursor.fetchall()

        def bare() -> "pd.DataFrame":
            found = tuples()
            return pd.DataFrame(found, columns=[column.name for column in cursor.description or ()])

        answer = ask()
        archived_rows = answer[answer["tier"] == "archive"].drop(columns="tier")
        pd.testing.assert_frame_equal(bare(), archived_rows)
        return _compared(
            plan,
            lambda: per_call(ask, _CALLS),
            lambda: per_call(bare, _CALLS),
            tuples=lambda: per_call(tuples, _CALLS),
        )


def _compared(plan: BenchPlan, subject: Work, reference: Work, **beside: Work) -> Outcome:
    times = alternate(plan.repeat, {"subject": subject, "reference": reference, **beside})
    return Outcome(Ratio.of(times["subject"], times["reference"]), spreads(times))


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise ServerError(f"a bench read {found:,} rows where there are {wanted:,}: this is a bug")


BENCH = Bench(
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
    run,
)
