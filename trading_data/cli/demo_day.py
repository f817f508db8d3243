"""A bounded run of the whole system: a simulated trading day under memory pressure, and the proof that nothing was lost.

Belongs here: the script of the demo and its report. Does not: starting the system (`local.stack`), and printing.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import dagster as dg
from psycopg2.sql import SQL, Identifier

from trading_data import Bar, LiveStore, MarketData, __version__
from trading_data.archive.aggregates.compare import differences
from trading_data.archive.aggregates.refresh import waiting
from trading_data.archive.chunks import chunks, compress, ratio
from trading_data.archive.database import Archive
from trading_data.archive.ledger import account, loading_runs
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.errors import Refused, ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect_for_archiver, live_errors
from trading_data.live.journal import find_journals, inspect
from trading_data.local.stack import System
from trading_data.operations.status import archive_version, live_version, undrained
from trading_data.orchestration.assets.archive import MEMORY_PRESSURE, TRIGGER
from trading_data.printable import counted
from trading_data.settings import Settings
from trading_data.sources.feeds import FeedCounts, SimulatedMarket, pump
from trading_data.sources.feeds.walk import SESSION
from trading_data.times import DAY, day_start, now

SYMBOLS = 250
PACE = 480.0
LIMIT_BYTES = 14_000_000
_SETTLE_SECONDS = 240
_SHOW_SECONDS = 1.0
EVERY_MINUTE = "* * * * *"
"""When the demo archives: two minutes are all of its day."""


@dataclass
class Report:
    """What the demo found; `datasets` has the account of each dataset."""

    datasets: dict[str, dict[str, int]] = field(default_factory=dict)
    archive_runs: int = 0
    memory_pressure_runs: int = 0
    failed_runs: int = 0
    aggregates_equal: bool = False
    compression_ratio: float | None = None
    rows_by_tier: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def nothing_lost(self) -> bool:
        """Whether every accepted entry is accounted for and the aggregates are right."""
        return all(dataset["lost"] == 0 for dataset in self.datasets.values()) and self.aggregates_equal

    def as_json(self) -> dict[str, Any]:
        """As plain values, the datasets by name on top."""
        others = {name: value for name, value in vars(self).items() if name != "datasets"}
        return {**self.datasets, **others}


@dataclass(frozen=True)
class Progress:
    """How far the demo is: `done` of `total` of a step; records accepted and archived so far, and runs that archived some."""

    step: str
    done: int
    total: int
    accepted: int
    archived: int
    runs: int

    def __str__(self) -> str:
        """One line."""
        share = f"{100 * self.done // max(self.total, 1)} %"
        return f"{self.step}: {share}, {self.numbers}"

    @property
    def numbers(self) -> str:
        """The numbers, in words."""
        runs = "1 run" if self.runs == 1 else f"{self.runs:,} runs"
        return f"{self.accepted:,} rows accepted, {self.archived:,} archived in {runs}"


class Demo:
    """One run in a home of its own, `demo` inside the given one; what an earlier demo left there is removed."""

    def __init__(
        self, settings: Settings, say: Callable[[str], None], show: Callable[[Progress], None], *, port: int
    ) -> None:
        """Starts nothing. `say` takes lines for people, `show` how far it is, every second or two."""
        home = settings.home / "demo"
        given = replace(settings, home=home, intake_uri=str(home / "intake"), backup_uri=str(home / "backups"))
        self._system = System(
            given, port=port, feed=None, redis_maxmemory=str(LIMIT_BYTES), health=False, archive_cron=EVERY_MINUTE
        )
        self._given, self._say, self._show = given, say, show
        self._report = Report()

    def run(self) -> Report:
        """Run it all and stop it all.

        Raises:
            Refused: a server given by URL is not empty.
            ServerError: something died, or the system did not settle.
        """
        began = time.monotonic()
        self._system.stop()
        shutil.rmtree(self._given.home, ignore_errors=True)
        settings = self._system.start(self._say)
        try:
            self._go(settings)
        finally:
            self._say("stopping")
            self._system.stop()
        self._report.seconds = round(time.monotonic() - began, 1)
        return self._report

    def _go(self, settings: Settings) -> None:
        client = connect_for_archiver(settings.require_redis_url())
        archive = Archive(settings.require_timescale_url())
        limit = self._limit(client, archive)
        try:
            day = now().date() - DAY
            self._feed(settings, archive, day)
            self._settle(client, archive, Intake(settings.intake_uri))
            self._compress(archive)
            self._query(settings, client, archive, day)
            self._settle(client, archive, Intake(settings.intake_uri))
        finally:
            if limit is not None:
                client.config_set("maxmemory", limit)
        for dataset in DATASETS.values():
            self._report.datasets[dataset.name] = _books(client, archive, dataset)
        self._report.aggregates_equal = self._aggregates_equal(archive, day)
        self._count_runs()
        self._report.versions = {
            "trading_data": __version__,
            "live": live_version(client),
            "archive": archive_version(archive),
            "dagster": dg.__version__,
            "python": sys.version.split()[0],
        }

    def _limit(self, client: Client, archive: Archive) -> str | None:
        """Give a live tier that is not ours the small limit too; returns its own, to be put back."""
        if not self._given.redis_url and not self._given.timescale_url:
            return None
        counts = [account(archive, dataset).batches for dataset in DATASETS.values()]
        with live_errors(client):
            if client.dbsize() or any(counts):
                raise Refused("the demo wants servers without data: unset the URL variables, or name empty databases")
            if not self._given.redis_url:
                return None
            own = str(client.config_get("maxmemory")["maxmemory"])
            client.config_set("maxmemory", client.info("memory")["used_memory"] + LIMIT_BYTES)
        return own

    def _feed(self, settings: Settings, archive: Archive, day: date) -> None:
        self._say(f"sending the trading day {day}: {SYMBOLS} symbols, {PACE / 60:.0f} minutes a second")
        store = LiveStore.from_url(settings.require_redis_url())
        stop, counts = threading.Event(), FeedCounts()
        market = SimulatedMarket(SYMBOLS, day, 7)
        length = SESSION[1] - SESSION[0]
        sender = threading.Thread(
            target=pump,
            args=(store, market),
            kwargs={"pace": PACE, "stop": stop, "report": self._say, "counts": counts},
        )
        sender.start()
        while sender.is_alive():
            sender.join(_SHOW_SECONDS)
            self._check_alive(stop)
            accepted = sum(counts.accepted.values())
            self._progress("sending", counts.minutes, length, accepted, archive)
        sent = counted(sum(counts.accepted.values()), "record")
        self._say(f"sent {sent}, {counted(counts.waits, 'wait')} for memory")
        store.close()

    def _progress(self, step: str, done: int | None, total: int, accepted: int, archive: Archive) -> None:
        """Show how far it is; `done` is what is archived where it is None."""
        archived = sum(account(archive, dataset, "journal").accepted for dataset in DATASETS.values())
        self._show(Progress(step, archived if done is None else done, total, accepted, archived, loading_runs(archive)))

    def _settle(self, client: Client, archive: Archive, intake: Intake) -> None:
        self._say("waiting until everything is archived and aggregated")
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            self._check_alive(None)
            left = sum(
                undrained(client, archive, intake, dataset) + len(intake.pending(dataset.name))
                for dataset in DATASETS.values()
            )
            ranges = sum(len(days) for days in waiting(archive).values())
            accepted = sum(_accepted(client, dataset) for dataset in DATASETS.values())
            self._progress("archiving", None, accepted, accepted, archive)
            if not left and not ranges:
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f"not settled after {_SETTLE_SECONDS} s: {counted(left, 'entry or batch', 'entries or batches')}, "
                    f"{counted(ranges, 'range')} left"
                )
            time.sleep(_SHOW_SECONDS)

    def _compress(self, archive: Archive) -> None:
        found = []
        for dataset in DATASETS.values():
            for chunk in chunks(archive, dataset):
                if chunk.day < now().date():
                    compress(archive, chunk)
            found += chunks(archive, dataset)
        self._report.compression_ratio = round(ratio(found) or 0.0, 2)
        self._say(f"compressed the day's chunks: {self._report.compression_ratio} times smaller")

    def _query(self, settings: Settings, client: Client, archive: Archive, day: date) -> None:
        symbol = min(find_journals(client, DATASETS["price"])).removeprefix(DATASETS["price"].prefix)
        reader = MarketData(client, archive, Intake(settings.intake_uri), day_start(settings.start))
        moment = now().replace(second=0, microsecond=0)
        with_store = LiveStore(client)
        with_store.record_prices([Bar(symbol, moment, 10.0, 11.0, 9.5, 10.5, 100.0, "demo")])
        frame = reader.prices(symbol, day_start(day), moment + timedelta(minutes=1))
        self._report.rows_by_tier = {str(tier): int(count) for tier, count in frame["tier"].value_counts().items()}
        self._say(f"one read of {symbol} over both tiers: {self._report.rows_by_tier}")

    def _aggregates_equal(self, archive: Archive, day: date) -> bool:
        wrong = []
        for dataset in DATASETS.values():
            for aggregate in dataset.aggregates:
                wrong += differences(archive, dataset, aggregate, day_start(day - DAY), day_start(now().date()) + DAY)
        for line in wrong[:5]:
            self._say(f"  differs: {line}")
        return not wrong

    def _count_runs(self) -> None:
        os.environ.update({name: value for name, value in self._system.env().items() if name.startswith("DAGSTER_")})
        with dg.DagsterInstance.from_config(str(self._system.dagster_home)) as instance:
            runs = instance.get_runs(dg.RunsFilter(job_name="archive_job"))
        self._report.archive_runs = len(runs)
        self._report.memory_pressure_runs = sum(run.tags.get(TRIGGER) == MEMORY_PRESSURE for run in runs)
        self._report.failed_runs = sum(run.status == dg.DagsterRunStatus.FAILURE for run in runs)

    def _check_alive(self, stop: threading.Event | None) -> None:
        dead = self._system.dead()
        if dead:
            if stop is not None:
                stop.set()
            raise ServerError(f"{dead[0][0]} died; the end of its log:\n{dead[0][1]}")


def _accepted(client: Client, dataset: Dataset) -> int:
    """Entries that Redis has taken into the journals of a dataset."""
    return sum(info.added for info in inspect(client, find_journals(client, dataset)).values())


def _books(client: Client, archive: Archive, dataset: Dataset) -> dict[str, int]:
    """The account of a dataset: what Redis counted in, what the ledger counted out, and whether the rows are there."""
    accepted = _accepted(client, dataset)
    found = account(archive, dataset, "journal")
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(SQL("select count(*) from {}").format(Identifier(dataset.table)))
        rows = int((cursor.fetchone() or (0,))[0])
    absent = max(0, account(archive, dataset).inserted - rows)
    return {
        "accepted": accepted,
        "inserted": found.inserted,
        "replaced": found.replaced,
        "unchanged": found.unchanged,
        "quarantined": found.quarantined,
        "lost": accepted - found.accepted + absent,
    }
