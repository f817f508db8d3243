"""Benches `backfill` and `compress`: jobs of Dagster, run in this process on a temporary instance.

`backfill` measures the cost of one more day of history from files; `compress` the nightly job against the bare function, and the
longest wait of a live insert meanwhile.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import psycopg2
import pyarrow.parquet as pq

from trading_data.bench.cycle import LIMIT_TABLE, copy_into, encoded, fresh_table
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
from trading_data.bench.servers import BenchRig, environment
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.settings import CALENDAR
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import DAY, day_start, now

Job = Callable[..., float]
_COMPRESS_SYMBOLS = 500
_CHUNKS = 100
_CHUNK_NAMES = "select chunk::text from show_chunks('price_data') as chunk order by chunk"
_COMPRESSED = (
    "select count(*) from timescaledb_information.chunks where hypertable_name = 'price_data' and is_compressed"
)
_INSERT = "insert into price_data values (%s, %s, 1, 1, 1, 1, 1, 'bench', 0)"


def run_compress(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Every repetition starts from uncompressed chunks; the first compression does not count."""
    rig.clean()
    count, symbols = plan.size(_CHUNKS, 3), plan.size(_COMPRESS_SYMBOLS, 2)
    end = day_start(now().date()) - PRICE.compress_after - DAY
    days = [end - DAY * at for at in range(1, count + 1)]
    with rig.connection() as connection, connection.cursor() as cursor, dagster_jobs(rig) as execute:
        for day in days:
            copy_into(connection, PRICE.table, encoded(Bars(symbols, MINUTES_A_DAY, until=day + DAY).table()))
        cursor.execute(_CHUNK_NAMES)
        names = [name for (name,) in cursor.fetchall()]

        def decompress_all() -> None:
            for name in names:
                cursor.execute("select decompress_chunk(%s, true)", (name,))

        def compress_all() -> None:
            for name in names:
                cursor.execute("select compress_chunk(%s)", (name,))

        def loop() -> float:
            decompress_all()
            return seconds(compress_all)

        def job() -> float:
            decompress_all()
            took = execute("compression_job")
            cursor.execute(_COMPRESSED)
            compressed = (cursor.fetchone() or (0,))[0]
            if compressed != count:
                raise ServerError(f"the compression job compressed {compressed} of {count} chunks, which is a bug")
            return took

        loop()
        plan.say(f"{count} chunks of {symbols * MINUTES_A_DAY:,} rows, {plan.repeat} times")
        times = alternate(plan.repeat, {"job": job, "loop": loop})
        decompress_all()
        waits = _longest_waits(rig, execute, days)
    figures = {
        "chunks": count,
        "rows_of_a_chunk": symbols * MINUTES_A_DAY,
        **spreads(times),
        **{f"longest_insert_{where}_seconds": wait for where, wait in waits.items()},
    }
    return {"compress": Outcome(Ratio.of(times["job"], times["loop"]), figures)}


def _longest_waits(rig: BenchRig, execute: Job, days: list[datetime]) -> dict[str, float]:
    """While the job runs, insert a row every few milliseconds into today's chunk and into the chunks being compressed."""
    ended = threading.Event()
    longest = {"today": 0.0, "into_what_is_packed": 0.0}
    failed: list[psycopg2.Error] = []

    def insert() -> None:
        at = 0
        try:
            with rig.connection() as connection, connection.cursor() as cursor:
                while not ended.wait(0.005):
                    at += 1
                    minute = timedelta(minutes=at // len(days) % 1000)
                    for where, day in (
                        ("today", day_start(now().date())),
                        ("into_what_is_packed", days[at % len(days)]),
                    ):
                        began = time.perf_counter()
                        cursor.execute(_INSERT, (f"live {at}", day + minute))
                        longest[where] = max(longest[where], time.perf_counter() - began)
        except psycopg2.Error as error:
            failed.append(error)

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        execute("compression_job")
    finally:
        ended.set()
        thread.join()
    if failed:
        raise ServerError(f"a live insert failed during compression: {failed[0]}")
    return longest


COMPRESS = Bench(
    "compress",
    (
        Promise(
            "compress",
            "a run of `compression_job` over 100 chunks",
            "`compress_chunk` of the same chunks in a loop over one connection",
            RatioTarget("at most", 1.2),
        ),
    ),
    run_compress,
)


_BACKFILL_SYMBOLS = 500
_DAYS = 30


@contextmanager
def dagster_jobs(rig: BenchRig, **env: str) -> Iterator[Job]:
    """Yields `run(job, first, last, config)`, which runs a job of the code location in this process and returns its seconds."""
    import dagster as dg  # Dagster takes two seconds to import

    from trading_data.orchestration.build import build_defs

    with environment({**rig.env, **env}), dg.DagsterInstance.local_temp() as instance:
        definitions = build_defs()

        def run(name: str, first: date | None = None, last: date | None = None, **ops: Any) -> float:
            ends = {"start": first, "end": last}
            tags = {f"dagster/asset_partition_range_{end}": str(day) for end, day in ends.items() if day}
            config = {"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            job = definitions.resolve_job_def(name)
            successes: list[bool] = []

            def execute() -> None:
                result = job.execute_in_process(instance=instance, tags=tags, run_config=config, raise_on_error=False)
                successes.append(result.success)

            took = seconds(execute)
            if not all(successes):
                raise ServerError(
                    f"a run of {name} failed on the bench's servers: run it on your own servers to see the reason"
                )
            return took

        yield run


def run_backfill(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """A run of one day and a run of thirty, each into an empty archive, and the plain COPY of a day."""
    today = day_start(now().date())
    symbols, days = plan.size(_BACKFILL_SYMBOLS, 2), plan.size(_DAYS, 2) if plan.scale < 1 else _DAYS
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
        _check_rows(rig, count * symbols * MINUTES_A_DAY)
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
        job(1)  # the first run of a process has extra costs
        works = {"one_day": lambda: job(1), "all_days": lambda: job(days), "copy_of_a_day": copy}
        times = alternate(plan.repeat, works | {"copy_and_refreshes_of_a_day": copy_and_refreshes})
    finally:
        for folder in files.values():
            shutil.rmtree(folder)
    extra = [
        (all_days - one_day) / (days - 1) for all_days, one_day in zip(times["all_days"], times["one_day"], strict=True)
    ]
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


def _check_rows(rig: BenchRig, count: int) -> None:
    with rig.archive.transaction(snapshot=True) as cursor:
        cursor.execute(f"select count(*) from {PRICE.table}")
        rows = (cursor.fetchone() or (0,))[0]
    if rows != count:
        raise ServerError(f"a backfill archived {rows:,} of {count:,} bars, which is a bug")


BACKFILL = Bench(
    "backfill",
    (
        Promise(
            "backfill",
            "each further day of 30 days as one run of `backfill_job`, files → archive, aggregates and checks",
            "binary COPY of one day's rows, encoded in advance, into a bare hypertable",
            RatioTarget("at most", 1.5),
        ),
        Promise(
            "backfill-in-sql",
            "the same",
            "that COPY into `price_data`, and the three refreshes of the day in SQL: no files, intake, ledger or checks",
            None,
        ),
    ),
    run_backfill,
)
