"""Benches `archive`, `archive-parallel` and `live-latency`: waiting journal entries become committed rows.

`archive` compares the archiver with the bare limit, and with two programs that a user would write instead. `archive-parallel`
drains in one process while another loads, as runs of the two assets do: a drain holds the lease of the journals and a load
the lock of the rows, so neither waits for the other. `live-latency` measures the archiver's effect on other clients of the
live tier.

Belongs here: these comparisons. Does not: the steps of archiving (`cycle`).
"""

import io
import time
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from psycopg2.extensions import connection as Connection  # noqa: N812
from sqlalchemy import create_engine

from trading_data.bench.cycle import (
    LIMIT_TABLE,
    Cycle,
    copy_into,
    drain,
    encoded,
    fresh_table,
    raw_read,
    read_requests,
    run_cycle,
)
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    Ratio,
    RatioTarget,
    Spread,
    alternate,
    rates,
    seconds,
    spreads,
)
from trading_data.bench.rows import Bars, bars_of
from trading_data.bench.servers import BenchRig
from trading_data.bench.worker import Worker, worker
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.intake.snapshot import BATCH_ENTRIES
from trading_data.live.connection import connect
from trading_data.live.journal import find_journals

ENTRIES = 1_000_000
SAMPLE = 50_000
_NUMBERS = ["open", "high", "low", "close", "volume"]


def run_archive(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """All three ratios, from the same repetitions."""
    bars = bars_of(plan.size(ENTRIES, 40))
    sample = Bars(max(1, min(bars.symbols, plan.size(SAMPLE, 40) // bars.each)), bars.each)
    work = Archiving(rig, bars)
    with rig.connection() as connection:
        users = _UserPrograms(rig, connection, sample)
        plan.say(f"{bars.count:,} entries of {bars.symbols} symbols over {len(bars.days)} days, {plan.repeat} times")
        times = alternate(
            plan.repeat,
            {
                "subject": work.subject,
                "limit": work.limit,
                "copy_into_price_data": work.aggregated,
                "to_sql": users.to_sql,
                "on_conflict": users.on_conflict,
            },
        )
    ours = [bars.count / time for time in times["subject"]]
    figures = {
        "entries": bars.count,
        "symbols": bars.symbols,
        "rows_per_second": rates(bars.count, times["subject"]),
        "limit_rows_per_second": rates(bars.count, times["limit"]),
        **spreads(
            {
                "snapshot": [cycle.snapshot_seconds for cycle in work.cycles],
                "load_and_trim": [cycle.load_seconds for cycle in work.cycles],
                "raw_read": work.raw_read,
                "copy": work.copy,
                "copy_into_table_with_aggregates": times["copy_into_price_data"],
            }
        ),
    }
    outcomes = {"archive": Outcome(Ratio.of(times["limit"], times["subject"]), figures)}
    for name in ("to_sql", "on_conflict"):
        theirs = [sample.count / time for time in times[name]]
        outcomes[f"archive-{name.replace('_', '-')}"] = Outcome(
            Ratio.of(ours, theirs),
            {
                "entries": bars.count,
                "reference_entries": sample.count,
                "rows_per_second": rates(bars.count, times["subject"]),
                "reference_rows_per_second": Spread.of(theirs).as_json(),
            },
        )
    return outcomes


class Archiving:
    """The archiver's work on given bars, and the limit of both servers for the same entries and rows."""

    def __init__(self, rig: BenchRig, bars: Bars) -> None:
        """Encode the rows, and record the requests of the archiver."""
        self._rig, self._bars = rig, bars
        self.cycles: list[Cycle] = []
        self.raw_read: list[float] = []
        self.copy: list[float] = []
        rig.clean()
        rig.journalled(bars)
        self._requests = read_requests(rig.client)
        self._blocks = encoded(bars.table())

    def prepare(self) -> None:
        """Empty servers, full journals."""
        self._rig.clean()
        self._rig.journalled(self._bars)

    def subject(self) -> float:
        """The cycle, on empty servers and full journals."""
        self.prepare()
        return self.cycle()

    def cycle(self) -> float:
        """The cycle after `prepare`; fails unless every bar was inserted."""
        rig, cycles = self._rig, self.cycles
        took = seconds(lambda: cycles.append(run_cycle(rig.client, rig.archive, rig.intake, rig.earliest)))
        cycles[-1].expect("inserted", self._bars.count)
        return took

    def limit(self) -> float:
        """The entries as raw replies, and the rows by binary COPY into a bare hypertable."""
        self._rig.journalled(self._bars)
        self.raw_read.append(raw_read(self._rig.client, self._requests))
        with self._rig.connection() as connection:
            fresh_table(connection)
            self.copy.append(copy_into(connection, LIMIT_TABLE, self._blocks))
            with connection.cursor() as cursor:
                cursor.execute(f"drop table {LIMIT_TABLE}")
        return self.raw_read[-1] + self.copy[-1]

    def aggregated(self) -> float:
        """The COPY alone, into `price_data` itself, which records the changes for its aggregates."""
        self._rig.clean_archive()
        with self._rig.connection() as connection:
            return copy_into(connection, PRICE.table, self._blocks)


class _UserPrograms:
    """Programs that users would write instead, on a sample of the entries."""

    def __init__(self, rig: BenchRig, connection: Connection, sample: Bars) -> None:
        self._rig, self._connection, self._sample = rig, connection, sample

    def to_sql(self) -> float:
        """Dicts, a frame, `to_sql`."""
        self._prepare()
        engine = create_engine(self._rig.settings.require_timescale_url())
        try:
            return seconds(lambda: self._frame().to_sql(LIMIT_TABLE, engine, if_exists="append", index=False))
        finally:
            engine.dispose()

    def on_conflict(self) -> float:
        """Dicts, a frame, COPY into a temporary table, INSERT … ON CONFLICT DO UPDATE."""
        self._prepare()
        return seconds(self._upsert)

    def _prepare(self) -> None:
        self._rig.journalled(self._sample)
        fresh_table(self._connection)

    def _upsert(self) -> None:
        frame = self._frame()
        columns = ", ".join(f'"{name}"' for name in frame.columns)
        updates = ", ".join(f'"{name}" = excluded."{name}"' for name in frame.columns if name not in PRICE.key)
        out = io.StringIO()
        frame.to_csv(out, index=False, header=False)
        out.seek(0)
        with self._connection.cursor() as cursor:
            cursor.execute("begin")
            cursor.execute(f"create temporary table bench_stage (like {LIMIT_TABLE}) on commit drop")
            cursor.copy_expert(f"copy bench_stage ({columns}) from stdin (format csv)", out)
            cursor.execute(
                f"insert into {LIMIT_TABLE} ({columns}) select {columns} from bench_stage "
                f"on conflict (symbol, timestamp) do update set {updates}"
            )
            cursor.execute("commit")

    def _frame(self) -> pd.DataFrame:
        client: Any = connect(self._rig.settings.require_redis_url())
        rows = []
        for name in find_journals(client, PRICE):
            for _, fields in cast(list[Any], client.xrange(name)):
                row = {field.decode(): value.decode() for field, value in fields.items()}
                rows.append({"symbol": name.removeprefix(PRICE.prefix), **row})
        client.close()
        frame = pd.DataFrame(rows)
        frame["timestamp"] = pd.to_datetime(frame["timestamp"])
        frame[_NUMBERS] = frame[_NUMBERS].astype(float)
        frame["batch_id"] = 1
        return frame


ARCHIVE = Bench(
    "archive",
    (
        Promise(
            "archive",
            "journal entries of 500 symbols → committed rows, with intake, validation, ledger, archived ranges, coverage and trim",
            "the same entries as raw replies, plus a binary COPY of the same rows, encoded in advance, into a bare hypertable",
            RatioTarget("at least", 0.8),
        ),
        Promise(
            "archive-to-sql",
            "rows per second of the same",
            "entries as dicts → pandas → to_sql into a bare hypertable",
            RatioTarget("at least", 6),
        ),
        Promise(
            "archive-on-conflict",
            "rows per second of the same",
            "entries as dicts → COPY into a temporary table → INSERT … ON CONFLICT DO UPDATE into a bare hypertable",
            RatioTarget("at least", 2),
        ),
    ),
    run_archive,
)


def run_parallel(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Overlapped, serial, and the limit, in turn."""
    bars = bars_of(plan.size(ENTRIES, 40))
    work = Archiving(rig, bars)

    def overlapped() -> float:
        work.prepare()
        result: dict[str, int] = {}

        def both(loader: Worker) -> None:
            for _ in drain(rig.client, rig.archive, rig.intake, rig.earliest):
                pass
            result.update(loader.finish())

        with worker(rig, "load") as loader:
            took = seconds(lambda: both(loader))
        # The last entry of each journal stays.
        if result != {"inserted": bars.count, "trimmed": bars.count - bars.symbols}:
            raise ServerError(f"draining and loading in parallel: {result} of {bars.count:,} entries, which is a bug")
        return took

    plan.say(f"{bars.count:,} entries of {bars.symbols} symbols, {plan.repeat} times")
    times = alternate(plan.repeat, {"subject": overlapped, "serial": work.subject, "limit": work.limit})
    figures = {
        "entries": bars.count,
        "batches": -(-bars.count // BATCH_ENTRIES),
        "rows_per_second": rates(bars.count, times["subject"]),
        "serial_rows_per_second": rates(bars.count, times["serial"]),
        "limit_rows_per_second": rates(bars.count, times["limit"]),
        "against_serial": Ratio.of(times["serial"], times["subject"]).spread.as_json(),
    }
    return {"archive-parallel": Outcome(Ratio.of(times["limit"], times["subject"]), figures)}


PARALLEL = Bench(
    "archive-parallel",
    (
        Promise(
            "archive-parallel",
            "as `archive`, draining in one process while another loads and trims",
            "the serial limit, as for `archive`",
            RatioTarget("above", 1.0),
        ),
    ),
    run_parallel,
)


_PROBED_ENTRIES = 500_000
_IDLE_SECONDS = 3.0
_LEAST_RATE = 0.8


def run_live_latency(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Idle, archiving with the probe, and archiving alone, in turn."""
    bars = bars_of(plan.size(_PROBED_ENTRIES, 40))
    work = Archiving(rig, bars)
    idle_seconds = max(0.1, _IDLE_SECONDS * min(plan.scale, 1.0))
    medians: dict[str, list[float]] = {"idle": [], "archiving": []}
    probed: list[float] = []

    def percentile(which: str, samples: list[float]) -> float:
        medians[which].append(float(np.quantile(samples, 0.5)))
        return float(np.quantile(samples, 0.99))

    def idle() -> float:
        with worker(rig, "probe") as prober:
            time.sleep(idle_seconds)
            return percentile("idle", prober.finish())

    def archiving() -> float:
        work.prepare()
        with worker(rig, "probe") as prober:
            probed.append(work.cycle())
            return percentile("archiving", prober.finish())

    plan.say(f"{bars.count:,} entries with a GET every half millisecond, {plan.repeat} times")
    times = alternate(plan.repeat, {"archiving": archiving, "idle": idle, "alone": work.subject})
    kept = Ratio.of(times["alone"], probed)
    figures = {
        "entries": bars.count,
        **{f"{name}_p99_seconds": Spread.of(times[name]).as_json() for name in medians},
        **{f"{name}_p50_seconds": Spread.of(values).as_json() for name, values in medians.items()},
        "rows_per_second": rates(bars.count, probed),
        "rows_per_second_alone": rates(bars.count, times["alone"]),
        "share_of_the_rate_kept": kept.value,
    }
    return {
        "live-latency": Outcome(Ratio.of(times["archiving"], times["idle"]), figures, also=kept.value >= _LEAST_RATE)
    }


LIVE_LATENCY = Bench(
    "live-latency",
    (
        Promise(
            "live-latency",
            "p99 of another client's GET while `archive` runs",
            "the same client while nothing runs",
            RatioTarget("at most", 3, f"at ≥ {_LEAST_RATE:g} of the rate"),
        ),
    ),
    run_live_latency,
)
