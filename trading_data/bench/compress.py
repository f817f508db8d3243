"""Bench `compress`: the nightly job against the bare function, and what a live insert waits for it.

Belongs here: both. Does not: the job.
"""

import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

import psycopg2

from trading_data.bench.cycle import copy_into, encoded
from trading_data.bench.fixtures import Job, dagster_jobs
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
from trading_data.bench.rows import MINUTES_A_DAY, Bars
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.times import DAY, day_start, now

_SYMBOLS = 500
_CHUNKS = 100
_CHUNK_NAMES = "select chunk::text from show_chunks('price_data') as chunk order by chunk"
_PACKED = "select count(*) from timescaledb_information.chunks where hypertable_name = 'price_data' and is_compressed"
_INSERT = "insert into price_data values (%s, %s, 1, 1, 1, 1, 1, 'bench', 0)"


def run(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Unpacked again before each time; a first time, which makes what is packed, does not count."""
    rig.clean()
    count, symbols = plan.size(_CHUNKS, 3), plan.size(_SYMBOLS, 2)
    end = day_start(now().date()) - PRICE.compress_after - DAY
    days = [end - DAY * at for at in range(1, count + 1)]
    with rig.connection() as connection, connection.cursor() as cursor, dagster_jobs(rig) as execute:
        for day in days:
            copy_into(connection, PRICE.table, encoded(Bars(symbols, MINUTES_A_DAY, until=day + DAY).table()))
        cursor.execute(_CHUNK_NAMES)
        names = [name for (name,) in cursor.fetchall()]

        def unpack() -> None:
            for name in names:
                cursor.execute("select decompress_chunk(%s, true)", (name,))

        def pack() -> None:
            for name in names:
                cursor.execute("select compress_chunk(%s)", (name,))

        def loop() -> float:
            unpack()
            return seconds(pack)

        def job() -> float:
            unpack()
            took = execute("compression_job")
            cursor.execute(_PACKED)
            packed = (cursor.fetchone() or (0,))[0]
            if packed != count:
                raise ServerError(f"the compression job packed {packed} of {count} chunks: this is a bug")
            return took

        loop()
        plan.say(f"{count} chunks of {symbols * MINUTES_A_DAY:,} rows, {plan.repeat} times")
        times = alternate(plan.repeat, {"job": job, "loop": loop})
        unpack()
        waits = _longest_waits(rig, execute, days)
    figures = {
        "chunks": count,
        "rows_of_a_chunk": symbols * MINUTES_A_DAY,
        **spreads(times),
        **{f"longest_insert_{where}_seconds": wait for where, wait in waits.items()},
    }
    return {"compress": Outcome(Ratio.of(times["job"], times["loop"]), figures)}


def _longest_waits(rig: BenchRig, execute: Job, days: list[datetime]) -> dict[str, float]:
    """Rows are inserted into today's chunk and into those being packed, one every few milliseconds, while the job runs."""
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
        raise ServerError(f"a live insert failed while chunks were packed: {failed[0]}")
    return longest


BENCH = Bench(
    "compress",
    (
        Promise(
            "compress",
            "a run of `compression_job` over 100 chunks",
            "`compress_chunk` of the same chunks in a loop over one connection",
            RatioTarget("at most", 1.2),
        ),
    ),
    run,
)
