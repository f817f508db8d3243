"""`trading-data demo`: the whole system in about two minutes, and the proof that nothing was lost.

Belongs here: the script of the demo, its progress and its report. Does not: starting the system (`local.stack`).
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import dagster as dg
from psycopg2.sql import SQL, Identifier
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from trading_data import Bar, LiveStore, MarketData, __version__
from trading_data.archive.aggregates.compare import differences
from trading_data.archive.aggregates.refresh import days_to_refresh
from trading_data.archive.chunks import chunks, compress, compression_ratio
from trading_data.archive.database import Archive
from trading_data.archive.ledger import account, loading_runs
from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.errors import Refused, ServerError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect_for_archiver, live_errors
from trading_data.live.journal import find_journals, inspect
from trading_data.local.process import free_port
from trading_data.local.stack import System
from trading_data.operations.status import archive_version, live_version, undrained
from trading_data.orchestration.tags import MEMORY_PRESSURE, TRIGGER
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
_LINE_EVERY = 5.0
EVERY_MINUTE = "* * * * *"
"""The demo's archive schedule: its whole day takes two minutes."""


@dataclass
class Report:
    """The results of the demo; `datasets` has the account of each dataset."""

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
        """As plain values, the datasets by name at the top level."""
        rest = {name: value for name, value in vars(self).items() if name != "datasets"}
        return {**self.datasets, **rest}


@dataclass(frozen=True)
class Progress:
    """Progress of a step, `done` of `total`; records accepted and archived so far, and the number of runs that archived any."""

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
        """The numbers as text."""
        return f"{self.accepted:,} rows accepted, {self.archived:,} archived in {counted(self.runs, 'run')}"


class Demo:
    """One run in a separate home, `demo` inside the given one; the remains of an earlier demo there are removed."""

    def __init__(
        self, settings: Settings, print_line: Callable[[str], None], show: Callable[[Progress], None], *, port: int
    ) -> None:
        """Start nothing yet. `print_line` gets messages, `show` the progress every second or two."""
        home = settings.home / "demo"
        given = replace(settings, home=home, intake_uri=str(home / "intake"), backup_uri=str(home / "backups"))
        self._system = System(
            given, port=port, feed=None, redis_maxmemory=str(LIMIT_BYTES), health=False, archive_cron=EVERY_MINUTE
        )
        self._given, self._print, self._show = given, print_line, show
        self._report = Report()

    def run(self) -> Report:
        """Start the system, run the day, stop the system.

        Raises:
            Refused: a server given by URL is not empty.
            ServerError: a process died, or entries were still waiting after four minutes.
        """
        began = time.monotonic()
        self._system.stop()
        shutil.rmtree(self._given.home, ignore_errors=True)
        settings = self._system.start(self._print)
        try:
            self._run_day(settings)
        finally:
            self._print("stopping")
            self._system.stop()
        self._report.seconds = round(time.monotonic() - began, 1)
        return self._report

    def _run_day(self, settings: Settings) -> None:
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
            self._report.datasets[dataset.name] = _counts(client, archive, dataset)
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
        """Set the small memory limit on a live tier given by URL too; returns the previous limit, to be restored."""
        if not self._given.redis_url and not self._given.timescale_url:
            return None
        counts = [account(archive, dataset).batches for dataset in DATASETS.values()]
        with live_errors(client):
            if client.dbsize() or any(counts):
                raise Refused("the demo needs servers without data: unset the URL variables, or name empty databases")
            if not self._given.redis_url:
                return None
            previous = str(client.config_get("maxmemory")["maxmemory"])
            client.config_set("maxmemory", client.info("memory")["used_memory"] + LIMIT_BYTES)
        return previous

    def _feed(self, settings: Settings, archive: Archive, day: date) -> None:
        self._print(f"sending the trading day {day}: {SYMBOLS} symbols, {PACE / 60:.0f} minutes a second")
        store = LiveStore.from_url(settings.require_redis_url())
        stop, counts = threading.Event(), FeedCounts()
        market = SimulatedMarket(SYMBOLS, day, 7)
        length = SESSION[1] - SESSION[0]
        sender = threading.Thread(
            target=pump,
            args=(store, market),
            kwargs={"pace": PACE, "stop": stop, "report": self._print, "counts": counts},
        )
        sender.start()
        while sender.is_alive():
            sender.join(_SHOW_SECONDS)
            self._check_alive(stop)
            accepted = sum(counts.accepted.values())
            self._progress("sending", counts.minutes, length, accepted, archive)
        sent = counted(sum(counts.accepted.values()), "record")
        self._print(f"sent {sent}, {counted(counts.waits, 'wait')} for memory")
        store.close()

    def _progress(self, step: str, done: int | None, total: int, accepted: int, archive: Archive) -> None:
        """Show the progress; None for `done` stands for the number of archived rows."""
        archived = sum(account(archive, dataset, "journal").accepted for dataset in DATASETS.values())
        self._show(Progress(step, archived if done is None else done, total, accepted, archived, loading_runs(archive)))

    def _settle(self, client: Client, archive: Archive, intake: Intake) -> None:
        self._print("waiting until everything is archived and aggregated")
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            self._check_alive(None)
            waiting_entries = sum(
                undrained(client, archive, intake, dataset) + len(intake.pending(dataset.name))
                for dataset in DATASETS.values()
            )
            ranges = sum(len(days) for days in days_to_refresh(archive).values())
            accepted = sum(_accepted(client, dataset) for dataset in DATASETS.values())
            self._progress("archiving", None, accepted, accepted, archive)
            if not waiting_entries and not ranges:
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f"after {_SETTLE_SECONDS} s, {counted(waiting_entries, 'entry or batch', 'entries or batches')} and "
                    f"{counted(ranges, 'aggregate range')} still wait"
                )
            time.sleep(_SHOW_SECONDS)

    def _compress(self, archive: Archive) -> None:
        compressed = []
        for dataset in DATASETS.values():
            for chunk in chunks(archive, dataset):
                if chunk.day < now().date():
                    compress(archive, chunk)
            compressed += chunks(archive, dataset)
        self._report.compression_ratio = round(compression_ratio(compressed) or 0.0, 2)
        self._print(f"compressed the day's chunks: {self._report.compression_ratio} times smaller")

    def _query(self, settings: Settings, client: Client, archive: Archive, day: date) -> None:
        symbol = min(find_journals(client, DATASETS["price"])).removeprefix(DATASETS["price"].prefix)
        reader = MarketData(client, archive, Intake(settings.intake_uri), day_start(settings.start))
        moment = now().replace(second=0, microsecond=0)
        LiveStore(client).record_prices([Bar(symbol, moment, 10.0, 11.0, 9.5, 10.5, 100.0, "demo")])
        frame = reader.prices(symbol, day_start(day), moment + timedelta(minutes=1))
        self._report.rows_by_tier = {str(tier): int(count) for tier, count in frame["tier"].value_counts().items()}
        self._print(f"one read of {symbol} over both tiers: {self._report.rows_by_tier}")

    def _aggregates_equal(self, archive: Archive, day: date) -> bool:
        different = []
        for dataset in DATASETS.values():
            for aggregate in dataset.aggregates:
                different += differences(
                    archive, dataset, aggregate, day_start(day - DAY), day_start(now().date()) + DAY
                )
        for line in different[:5]:
            self._print(f"  differs: {line}")
        return not different

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
    """Entries ever added to the journals of a dataset, by Redis's count."""
    return sum(info.added for info in inspect(client, find_journals(client, dataset)).values())


def _counts(client: Client, archive: Archive, dataset: Dataset) -> dict[str, int]:
    """The account of a dataset from Redis's count, the ledger's counts, and the rows in the table."""
    accepted = _accepted(client, dataset)
    loaded = account(archive, dataset, "journal")
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute(SQL("select count(*) from {}").format(Identifier(dataset.table)))
        rows = int((cursor.fetchone() or (0,))[0])
    absent = max(0, account(archive, dataset).inserted - rows)
    return {
        "accepted": accepted,
        "inserted": loaded.inserted,
        "replaced": loaded.replaced,
        "unchanged": loaded.unchanged,
        "quarantined": loaded.quarantined,
        "lost": accepted - loaded.accepted + absent,
    }


@click.command("demo")
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the report into this file."
)
def demo_command(file: Path | None) -> None:
    """Run a simulated trading day: feed, memory pressure, archival, aggregates, compression and a combined query.

    Exit code 0 only if nothing was lost.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that SIGTERM stops the servers too
    with progress_on(Console(highlight=False, markup=False, emoji=False)) as (print_line, show):
        report = Demo(Settings.from_env(), print_line, show, port=free_port()).run()
    _print_report(report)
    if file is not None:
        file.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    if not report.nothing_lost:
        raise ServerError(
            "entries were lost or aggregates differ; see the table above. This is a bug: please report it"
        )


@contextmanager
def progress_on(console: Console) -> Iterator[tuple[Callable[[str], None], Callable[[Progress], None]]]:
    """Two functions, for lines and for progress: a bar on a terminal, else a line every five seconds."""
    if not console.is_terminal:
        last: tuple[str, float] = ("", 0.0)

        def print_progress(progress: Progress) -> None:
            nonlocal last
            if progress.step != last[0] or time.monotonic() - last[1] >= _LINE_EVERY:
                last = (progress.step, time.monotonic())
                click.echo(f"  {progress}", file=console.file)

        yield lambda line: click.echo(line, file=console.file), print_progress
        return
    columns = [
        TextColumn("{task.description}"),
        BarColumn(30),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
    ]
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(progress: Progress) -> None:
            if progress.step not in tasks:
                for task in tasks.values():
                    bars.remove_task(task)
                tasks.clear()
                tasks[progress.step] = bars.add_task(progress.step, numbers="")
            bars.update(
                tasks[progress.step], completed=progress.done, total=progress.total or 1, numbers=progress.numbers
            )

        yield console.print, draw


def _print_report(report: Report) -> None:
    names = ("accepted", "inserted", "replaced", "unchanged", "quarantined", "lost")
    click.echo("".join(f"{name:>12}" for name in ("", *names)))
    for dataset, counts in report.datasets.items():
        click.echo(f"{dataset:>12}" + "".join(f"{counts[name]:>12,}" for name in names))
    click.echo(
        f"{counted(report.archive_runs, 'archive run')}, {report.memory_pressure_runs} of them for memory pressure, "
        f"{report.failed_runs} failed; aggregates equal raw rows: {'yes' if report.aggregates_equal else 'NO'}; "
        f"compression {report.compression_ratio} : 1; {report.seconds:.0f} s"
    )
    click.echo("; ".join(f"{name} {version}" for name, version in report.versions.items()))
