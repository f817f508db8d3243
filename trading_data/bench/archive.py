"""Benches `archive`, `replay` and `live-latency`: waiting journal entries become committed rows.

`archive-parallel` drains in one process while another loads, as runs of the two assets do: a drain holds the lease of the journals
and a load the lock of the rows, so neither waits for the other. `replay` archives the same bars a second time.

`live-latency` is about what other clients of the live tier wait for meanwhile. Its probes are open loop: each request has its time
in a schedule, is sent then or as soon as the one before was answered, and its latency counts from the schedule. So a stall counts
in every request that it delays. Each probe is a process of its own, and sends at the same rate while idle and while archiving.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np

from trading_data.bench.cycle import Cycle, drain, run_cycle
from trading_data.bench.measure import (
    Bench,
    BenchPlan,
    Outcome,
    Promise,
    RatioTarget,
    Spread,
    alternate,
    rates,
    ratios,
    seconds,
    spreads,
)
from trading_data.bench.references import archive as reference
from trading_data.bench.rows import Bars, bars_of, journal
from trading_data.bench.servers import BenchRig
from trading_data.bench.worker import PROBES, Worker, worker
from trading_data.datasets import PRICE
from trading_data.errors import ServerError
from trading_data.live.journal import find_journals

ENTRIES = 1_000_000
_COLUMNS = [*PRICE.names, "batch_id"]
_MOST_LOG_BYTES = 5
_LATER_MS = 1_750_000_000_000
_IDLE_SECONDS = 10.0
_LEAST_RATE = 0.8


class Archiving:
    """The archiver's work on given bars, and its references for the same entries and rows."""

    def __init__(self, rig: BenchRig, bars: Bars) -> None:
        """Encode the rows."""
        self._rig, self._bars = rig, bars
        self.size = f"{bars.count:,} entries of {bars.symbols} symbols"
        self.cycles: list[Cycle] = []
        self.reads: list[float] = []
        self.copies: list[float] = []
        self._blocks = reference.encode_blocks(bars.table())

    def prepare(self) -> None:
        """Empty servers, full journals."""
        self._rig.clean()
        self._rig.journalled(self._bars)

    def cycle(self, what: str = "inserted") -> float:
        """The cycle after `prepare`; fails unless every bar was inserted."""
        rig, cycles = self._rig, self.cycles
        took = seconds(lambda: cycles.append(run_cycle(rig.client, rig.archive, rig.intake, rig.earliest)))
        cycles[-1].expect(what, self._bars.count)
        return took

    def serial(self) -> float:
        """The cycle, on empty servers and full journals."""
        self.prepare()
        return self.cycle()

    def parallel(self) -> float:
        """The same, draining here while another process loads and trims."""
        self.prepare()
        rig, result = self._rig, {}

        def both(loader: Worker) -> None:
            for _ in drain(rig.client, rig.archive, rig.intake, rig.earliest):
                pass
            result.update(loader.finish())

        with worker(rig, "load") as loader:
            took = seconds(lambda: both(loader))
        count = self._bars.count  # the last entry of each journal stays
        if result != {"inserted": count, "trimmed": count - self._bars.symbols}:
            raise ServerError(f"draining and loading in parallel: {result} of {count:,} entries, which is a bug")
        return took

    def limit(self) -> float:
        """Journals read whole, then COPY of encoded rows."""
        self._rig.journalled(self._bars)
        self.reads.append(reference.read_whole(self._rig.client, find_journals(self._rig.client, PRICE)))
        with self._rig.connection() as connection:
            reference.fresh_table(connection)
            self.copies.append(reference.copy(connection, reference.TABLE, _COLUMNS, self._blocks))
        return self.reads[-1] + self.copies[-1]

    def script(self) -> float:
        """The script that somebody would write instead."""
        self._rig.journalled(self._bars)
        with self._rig.connection() as connection:
            reference.fresh_table(connection)
            took = reference.script(self._rig.settings.require_redis_url(), connection)
            with connection.cursor() as cursor:
                cursor.execute(f"select count(*) from {reference.TABLE}")
                rows = (cursor.fetchone() or (0,))[0]
        if rows != self._bars.count:
            raise ServerError(f"the script copied {rows:,} of {self._bars.count:,} entries: its journals are not plain")
        return took

    def close(self) -> None:
        """Drop the table of the references."""
        with self._rig.connection() as connection, connection.cursor() as cursor:
            cursor.execute(f"drop table if exists {reference.TABLE}")

    def again(self) -> float:
        """The cycle on the same bars once more, after `serial`."""
        journal(self._rig.client, self._bars, _LATER_MS)
        return self.cycle("unchanged")


def run_archive(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """One process, two, the limit and the script, in turn."""
    work = Archiving(rig, bars := bars_of(plan.size(ENTRIES, 40)))
    plan.say(f"{work.size}, {plan.repeat} times")
    times = alternate(
        plan.repeat,
        {"serial": work.serial, "parallel": work.parallel, "limit": work.limit, "script": work.script},
    )
    work.close()
    steps = {
        "snapshot": [cycle.snapshot_seconds for cycle in work.cycles],
        "load_and_trim": [cycle.load_seconds for cycle in work.cycles],
        "whole_journal_read": work.reads,
        "copy": work.copies,
    }
    figures = {f"{name}_rows_per_second": rates(bars.count, taken) for name, taken in times.items()} | spreads(steps)
    return {
        "archive": Outcome(ratios(times["limit"], times["serial"]), work.size, figures),
        "archive-parallel": Outcome(ratios(times["limit"], times["parallel"]), work.size),
        "archive-script": Outcome(ratios(times["script"], times["serial"]), work.size),
    }


_SUBJECT = "journal entries → committed rows, with intake, validation, ledger, archived ranges, coverage and trim"
_LIMIT = "the same journals read whole, ten a request, unparsed; then a binary COPY of the same rows, encoded before"
ARCHIVE = Bench(
    "archive",
    (
        Promise("archive", _SUBJECT, _LIMIT, RatioTarget("at least", 0.8), "archive.py"),
        Promise(
            "archive-parallel",
            "as `archive`, draining in one process while another loads and trims",
            f"the same serial limit: {_LIMIT}",
            RatioTarget("at least", 1.2),
            "archive.py",
        ),
        Promise(
            "archive-script",
            "as `archive`",
            "a plain script by libraries: XRANGE of whole journals → Arrow → binary COPY → XTRIM, without any account",
            RatioTarget("at least", 2),
            "archive.py",
        ),
    ),
    run_archive,
)


def run_replay(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """The first and the second time; their order is fixed, because the second needs the first."""
    work = Archiving(rig, bars := bars_of(plan.size(ENTRIES, 40)))
    times: dict[str, list[float]] = {"first": [], "again": []}
    log: list[float] = []
    plan.say(f"{work.size} twice, {plan.repeat} times")
    for _ in range(plan.repeat):
        times["first"].append(work.serial())
        before = _wal_position(rig)
        times["again"].append(work.again())
        log.append((_wal_position(rig) - before) / bars.count)
    figures = {**spreads(times), "log_bytes_per_row": Spread.of(log).as_json()}
    also = Spread.of(log).median <= _MOST_LOG_BYTES
    return {"replay": Outcome(ratios(times["again"], times["first"]), work.size, figures, also=also)}


def _wal_position(rig: BenchRig) -> int:
    with rig.archive.transaction(snapshot=True) as cursor:
        cursor.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
        return int((cursor.fetchone() or (0,))[0])


REPLAY = Bench(
    "replay",
    (
        Promise(
            "replay",
            "the same bars in the journals again → rows found unchanged, with everything that `archive` does",
            "the same bars the first time",
            RatioTarget("at most", 0.5, f"and ≤ {_MOST_LOG_BYTES} bytes of log a row"),
        ),
    ),
    run_replay,
)


def run_live_latency(rig: BenchRig, plan: BenchPlan) -> Mapping[str, Outcome]:
    """Idle, archiving with the probes, and archiving alone, in turn."""
    work = Archiving(rig, bars := bars_of(plan.size(ENTRIES, 40)))
    seen: dict[str, list[list[float]]] = {f"{name}_{when}": [] for name in PROBES for when in ("idle", "archiving")}

    def probed(when: str) -> float:
        with ExitStack() as stack:
            probes = {name: stack.enter_context(worker(rig, f"probe-{name}")) for name in PROBES}
            began = time.perf_counter()
            if when == "archiving":
                work.cycle()
            else:
                time.sleep(_IDLE_SECONDS * min(plan.scale, 1))
            took = time.perf_counter() - began
            for name, probe in probes.items():
                seen[f"{name}_{when}"].append(np.quantile(probe.finish(), [0.5, 0.99, 1]).tolist())
        return took

    def archiving() -> float:
        work.prepare()
        return probed("archiving")

    plan.say(f"{work.size} with probes, {plan.repeat} times")
    works = {"archiving": archiving, "idle": lambda: probed("idle"), "alone": work.serial}
    times = alternate(plan.repeat, works)
    kept = ratios(times["alone"], times["archiving"])
    size = f"{work.size}; {', '.join(f'{probe.rate:,} {probe.words} a second' for probe in PROBES.values())}"
    shared = {
        "rows_per_second": rates(bars.count, times["archiving"]),
        "rows_per_second_alone": rates(bars.count, times["alone"]),
        "share_of_the_rate_kept": kept.as_json(),
    }
    outcomes = {}
    for name in PROBES:
        columns = {
            f"{when}_{which}": [row[at] for row in seen[f"{name}_{when}"]]
            for at, which in enumerate(("p50", "p99", "longest"))
            for when in ("idle", "archiving")
        }
        outcomes[f"live-latency-{name}"] = Outcome(
            ratios(columns["archiving_p99"], columns["idle_p99"]),
            size,
            {**spreads(columns), **shared},
            also=kept.median >= _LEAST_RATE,
        )
    return outcomes


LIVE_LATENCY = Bench(
    "live-latency",
    tuple(
        Promise(
            f"live-latency-{name}",
            f"p99 of another client's {probe.words} while `archive` runs, open loop",
            "the same client while nothing runs",
            RatioTarget("at most", 3, f"at ≥ {_LEAST_RATE:g} of the rate"),
        )
        for name, probe in PROBES.items()
    ),
    run_live_latency,
)
