"""Bench `backfill`: history from files, many days as one run of Dagster.

Belongs here: what one more day costs. Does not: the job.
"""

import shutil
from collections.abc import Mapping

import pyarrow.parquet as pq

from trading_data.bench.cycle import LIMIT_TABLE, copy_into, encoded, fresh_table
from trading_data.bench.fixtures import dagster_jobs
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
from trading_data.bench.rows import MINUTES_A_DAY, Bars
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.settings import CALENDAR
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import DAY, day_start, now

_SYMBOLS = 500
_DAYS = 30


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """A run of one day and a run of thirty, each into an empty archive, and the plain COPY of a day."""
    today = day_start(now().date())
    symbols, days = plan.size(_SYMBOLS, 2), plan.size(_DAYS, 2) if plan.scale < 1 else _DAYS
    files = {1: rig.settings.home / "one day", days: rig.settings.home / "all days"}
    by_day = [Bars(symbols, MINUTES_A_DAY, until=today - DAY * at).table() for at in reversed(range(days))]
    for count, folder in files.items():
        folder.mkdir()
        for at, table in enumerate(by_day[-count:]):
            pq.write_table(table, folder / f"{at:03d}.parquet")
    names = Bars(symbols, 1).names
    blocks = encoded(by_day[-1])

    def job(count: int) -> float:
        rig.clean()
        with dagster_jobs(rig, **{VENDOR: str(files[count]), CALENDAR: "24/7"}) as execute:
            first, last = (today - DAY * count).date(), (today - DAY).date()
            took = execute("backfill_job", first, last, price_history={"config": {"symbols": names}})
        _look(rig, count * symbols * MINUTES_A_DAY)
        return took

    def copy() -> float:
        with rig.connection() as connection:
            fresh_table(connection)
            return copy_into(connection, LIMIT_TABLE, blocks)

    def copy_and_refreshes() -> float:
        rig.clean()
        with rig.connection() as connection, connection.cursor() as cursor:

            def refreshes() -> None:
                for aggregate in PRICE.aggregates:
                    cursor.execute(
                        "call refresh_continuous_aggregate(%s, %s, %s)", (aggregate.name, today - DAY, today)
                    )

            return copy_into(connection, PRICE.table, blocks) + seconds(refreshes)

    plan.say(f"{days} days of {symbols * MINUTES_A_DAY:,} bars, {plan.repeat} times")
    try:
        job(1)  # what only the first run of a process pays
        works = {"one_day": lambda: job(1), "all_days": lambda: job(days), "copy_of_a_day": copy}
        times = alternate(plan.repeat, works | {"copy_and_refreshes_of_a_day": copy_and_refreshes})
    finally:
        for folder in files.values():
            shutil.rmtree(folder)
    extra = [(many - time) / (days - 1) for many, time in zip(times["all_days"], times["one_day"], strict=True)]
    figures = {
        "days": days,
        "rows_of_a_day": symbols * MINUTES_A_DAY,
        **spreads(times),
        "extra_day_seconds": Spread.of(extra).as_json(),
    }
    return {
        "backfill": Outcome(Ratio.of(extra, times["copy_of_a_day"]), figures),
        "backfill-in-sql": Outcome(Ratio.of(extra, times["copy_and_refreshes_of_a_day"])),
    }


def _look(rig: BenchRig, count: int) -> None:
    with rig.archive.transaction(snapshot=True) as cursor:
        cursor.execute(f"select count(*) from {PRICE.table}")
        found = (cursor.fetchone() or (0,))[0]
    if found != count:
        raise ServerError(f"a backfill brought {found:,} of {count:,} bars: this is a bug")


BENCH = Bench(
    "backfill",
    (
        Promise(
            "backfill",
            "each further day of 30 days as one run of `backfill_job`, files → archive, aggregates and checks",
            "binary COPY of one day's rows, encoded before, into a bare hypertable",
            RatioTarget("at most", 1.5),
        ),
        Promise(
            "backfill-in-sql",
            "the same",
            "that COPY into `price_data`, and the three refreshes of the day in SQL: no files, intake, books or checks",
            None,
        ),
    ),
    run,
)
