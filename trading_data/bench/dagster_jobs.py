"""Benches `backfill` and `compress`: jobs by `trading-data run`, each in a process of its own, on a real instance of Dagster.

Every run is measured from process to process. What a run costs without work is its fixed cost, which is stated; the ratios are
about the work beyond it.
"""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq

from trading_data.archive.sql import folder as sql_folder
from trading_data.bench.cycle import archived
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    alternate,
    ratios,
    spreads,
)
from trading_data.bench.references.archive import copy, encode_blocks
from trading_data.bench.references.maintenance import compress, refreshes
from trading_data.bench.rows import MINUTES_A_DAY, Bars
from trading_data.bench.servers import BenchRig
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.settings import CALENDAR
from trading_data.sources.vendors.choose import VENDOR
from trading_data.times import DAY, day_start, now

_SYMBOLS = 500
_CHUNKS = 25
_DAYS = 10
_LEAST = 5
"""Fewer days or chunks cost less than runs differ."""
_COLUMNS = [*PRICE.names, "batch_id"]
_PROGRAM = "from trading_data.cli.main import main; main()"
_CHUNK_NAMES = "select chunk::text from show_chunks('price_data') as chunk order by chunk"
_COMPRESSED = (
    "select count(*) from timescaledb_information.chunks where hypertable_name = 'price_data' and is_compressed"
)
_INSERT = "insert into price_data values (%s, %s, 1, 1, 1, 1, 1, 'bench', 0)"


class JobRunner:
    """Runs jobs as somebody would from a shell."""

    def __init__(self, rig: BenchRig, **env: str) -> None:
        """Make the folder of a Dagster instance: the product's, or one on SQLite if there is no server for its storage."""
        home = rig.settings.home / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        declared = (
            (sql_folder().parent / "dagster.yaml").read_text()
            if rig.settings.dagster_url
            else "telemetry: {enabled: false}\n"
        )
        (home / "dagster.yaml").write_text(declared)
        self._env = {**rig.env, "DAGSTER_HOME": str(home), **env}
        self.storage = "PostgreSQL" if rig.settings.dagster_url else "SQLite"

    def run(self, job: str, first: date | None = None, last: date | None = None) -> float:
        """Seconds from the start of the process to its end.

        Raises:
            ServerError: the run failed.
        """
        days = ["--start", str(first), "--end", str(last + DAY)] if first and last else []
        command = [sys.executable, "-c", _PROGRAM, "run", job, *days]
        began = time.perf_counter()
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)  # noqa: S603 - this program
        took = time.perf_counter() - began
        if done.returncode:
            raise ServerError(
                f"`trading-data run {job}` failed on the bench's servers: {(done.stderr or done.stdout)[-400:]}"
            )
        return took


def run_compress(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Every repetition starts from uncompressed chunks; a run with nothing to compress is the fixed cost."""
    rig.clean()
    count, symbols = plan.size(_CHUNKS, _LEAST), plan.size(_SYMBOLS, 2)
    end = day_start(now().date()) - PRICE.compress_after - DAY
    days = [end - DAY * at for at in range(1, count + 1)]
    jobs = JobRunner(rig)
    with rig.connection() as connection, connection.cursor() as cursor:
        for day in days:
            blocks = encode_blocks(Bars(symbols, MINUTES_A_DAY, until=day + DAY).table())
            copy(connection, PRICE.table, _COLUMNS, blocks)
        cursor.execute(_CHUNK_NAMES)
        names = [name for (name,) in cursor.fetchall()]

        def decompress_all() -> None:
            for name in names:
                cursor.execute("select decompress_chunk(%s, true)", (name,))

        def loop() -> float:
            decompress_all()
            return compress(connection, names)

        def job() -> float:
            decompress_all()
            took = jobs.run("compression_job")
            cursor.execute(_COMPRESSED)
            compressed = (cursor.fetchone() or (0,))[0]
            if compressed != count:
                raise ServerError(f"the compression job compressed {compressed} of {count} chunks, which is a bug")
            return took

        loop()
        jobs.run("compression_job")
        plan.say(f"{count} chunks of {symbols * MINUTES_A_DAY:,} rows, {plan.repeat} times")
        works = {"run": job, "run_with_nothing_to_do": lambda: jobs.run("compression_job"), "loop": loop}
        # A run with nothing to do needs compressed chunks, which both others leave.
        times = alternate(plan.repeat, works)
        decompress_all()
        waits = _longest_waits(rig, jobs, days)
    beyond = [run - nothing for run, nothing in zip(times["run"], times["run_with_nothing_to_do"], strict=True)]
    figures = {
        **spreads(times),
        **spreads({"run_beyond_the_fixed_cost": beyond}),
        "whole_run_by_the_loop": ratios(times["run"], times["loop"]).as_json(),
        **{f"longest_insert_{where}_seconds": wait for where, wait in waits.items()},
        "storage_of_dagster": jobs.storage,
    }
    size = f"{count} chunks of {symbols * MINUTES_A_DAY:,} rows"
    return {"compress": Outcome(ratios(beyond, times["loop"]), size, figures, also=min(beyond) > 0)}


def _longest_waits(rig: BenchRig, jobs: JobRunner, days: list[datetime]) -> dict[str, float]:
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
        jobs.run("compression_job")
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
            "`trading-data run compression_job` over 25 chunks, beyond the fixed cost of a run",
            "`compress_chunk` of the same chunks in a loop over one connection",
            RatioTarget("at most", 1.2),
            "maintenance.py",
        ),
    ),
    run_compress,
)


@contextmanager
def _files(rig: BenchRig, tables: Mapping[int, list[pa.Table]]) -> Iterator[Mapping[int, Path]]:
    """A folder of Parquet files for each number of days."""
    folders = {count: rig.settings.home / f"{count} days" for count in tables}
    try:
        for count, folder in folders.items():
            folder.mkdir()
            for at, table in enumerate(tables[count]):
                pq.write_table(table, folder / f"{at:03d}.parquet")
        yield folders
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def run_backfill(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """A run of one day and a run of ten, each into an archive that knows the symbols only, and the bare statements of a day."""
    today = day_start(now().date())
    symbols, days = plan.size(_SYMBOLS, 2), plan.size(_DAYS, _LEAST)
    by_day = [Bars(symbols, MINUTES_A_DAY, until=today - DAY * at).table() for at in reversed(range(days))]
    blocks = encode_blocks(by_day[-1])
    known = Bars(symbols, 1, until=today - DAY * (days + 5))
    rows = symbols * MINUTES_A_DAY

    def bare() -> float:
        rig.clean()
        with rig.connection() as connection:
            copied = copy(connection, PRICE.table, _COLUMNS, blocks)
            return copied + refreshes(connection, [(it.name, today - DAY, today) for it in PRICE.aggregates])

    with _files(rig, {1: by_day[-1:], days: by_day}) as folders:

        def job(count: int) -> float:
            rig.clean()
            archived(rig, known)
            jobs = JobRunner(rig, **{VENDOR: str(folders[count]), CALENDAR: "24/7"})
            took = jobs.run("backfill_job", (today - DAY * count).date(), (today - DAY).date())
            _check_rows(rig, count * rows + symbols)
            return took

        plan.say(f"{days} days of {rows:,} bars, {plan.repeat} times")
        works = {"one_day": lambda: job(1), "all_days": lambda: job(days), "copy_and_refreshes_of_a_day": bare}
        times = alternate(plan.repeat, works)
    further = [(all_ - first) / (days - 1) for all_, first in zip(times["all_days"], times["one_day"], strict=True)]
    fixed = [first - more for first, more in zip(times["one_day"], further, strict=True)]
    figures = spreads({**times, "further_day": further, "fixed_cost_of_the_run": fixed})
    size = f"{days} days of {rows:,} rows"
    ratio = ratios(further, times["copy_and_refreshes_of_a_day"])
    return {"backfill": Outcome(ratio, size, figures, also=min(further) > 0)}


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
            "each further day of a `trading-data run backfill_job`, files → archive, aggregates and checks",
            "binary COPY of the day's rows, encoded before, into `price_data`, and the day's three refreshes in SQL",
            RatioTarget("at most", 1.15),
            "maintenance.py",
        ),
    ),
    run_backfill,
)
