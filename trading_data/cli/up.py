"""`trading-data up`: the whole system, until Ctrl-C.

Belongs here: options, the table of addresses, the line of each minute, restarting what dies, stopping. Does not: starting
(`trading_data.local`).
"""

import shlex
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from trading_data.archive.database import Archive
from trading_data.archive.ledger import Account, account
from trading_data.datasets import DATASETS
from trading_data.errors import ServerError, TradingDataError
from trading_data.local.stack import System
from trading_data.operations.exporter.server import Exporter
from trading_data.printable import counted
from trading_data.settings import HOME, Settings
from trading_data.sources.feeds import symbols_of
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.times import DAY, now

_RESTART_INTERVAL = 60.0
"""A server that dies within this many seconds of a restart has a lasting fault, and is not restarted again."""
_FEEDS = ("simulated", "replay", "alpaca", "none")
MINUTE = 60.0
"""Seconds between two lines about what happened."""
_NAMES_SHOWN = 4


@click.command("up")
@click.option("--feed", type=click.Choice(_FEEDS), default="simulated", show_default=True, help="The source of bars.")
@click.option(
    "--port", default=3000, show_default=True, help="Port of the web server, on loopback; 0 for any free one."
)
@click.option("--home", type=click.Path(path_type=Path), help="Folder for all data. [default: $TRADING_DATA_HOME]")
@click.option("--symbols", help="How many (simulated), or which: AAPL,MSFT. [default: 50; alpaca: watchlist:current]")
@click.option("--pace", default=1.0, show_default=True, help="Simulated seconds per second.")
@click.option("--seed", default=7, show_default=True, help="Seed of the simulated market; the same seed repeats it.")
@click.argument("files", nargs=-1)
def up_command(
    feed: str, port: int, home: Path | None, symbols: str | None, pace: float, seed: int, files: tuple[str, ...]
) -> None:
    """Start everything that has no URL set, print a table of URLs, and stay up until Ctrl-C.

    FILES are the input of `--feed replay`: CSV or Parquet with the columns of a bar.
    """
    settings = Settings.from_env()
    if home is not None:
        settings = _at_home(settings, home)
    options = _feed_options(feed, files, symbols, pace, seed)
    system = System(settings, port=port, feed=options)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    console = Console(highlight=False)
    exporter: Exporter | None = None
    system.start(lambda line: console.print(line))
    try:
        exporter = Exporter(system.settings, other=True)
        _print_table(system, exporter, console)
        _print_next_steps(system, console)
        console.print("Press Ctrl-C to stop.")
        _watch(system, stop, console)
    finally:
        console.print("stopping")
        if exporter is not None:
            exporter.close()
        system.stop()


def _watch(system: System, stop: threading.Event, console: Console) -> None:
    """Wait for Ctrl-C. A server or a process of Dagster that dies is restarted; if it soon dies again, everything stops."""
    feed_reported = False
    restarted: dict[str, float] = {}
    minute = MinuteLine(system.settings, system.dagster_home)
    while not stop.wait(0.5):
        servers, dead = system.dead_servers(), system.dead()
        moment = time.monotonic()
        if servers and all(moment - restarted.get(name, -_RESTART_INTERVAL) >= _RESTART_INTERVAL for name in servers):
            console.print(f"{', '.join(servers)} died, and is started again; no accepted data is lost")
            system.revive(lambda line: console.print(line))
            restarted |= dict.fromkeys(servers, moment)
        elif dead:
            name, log = dead[0]
            console.print(log, markup=False)
            raise ServerError(f"{name} died; the end of its log is above. No accepted data is lost: start again")
        for line in filter(None, (system.moved(), minute.text())):
            console.print(line, markup=False, soft_wrap=True)
        if not feed_reported and system.feed_ended():
            console.print("the feed has ended; everything else stays up")
            feed_reported = True


def _print_next_steps(system: System, console: Console) -> None:
    home = (
        "" if system.settings.home == Settings.from_env().home else f"{HOME}={shlex.quote(str(system.settings.home))} "
    )
    console.print("next, in another shell (commands are in .venv/bin):", markup=False)
    for purpose, command in (
        ("look at runs and lineage", system.page),
        (
            "read bars, live and archived",
            f"{home}trading-data query prices --start {now():%Y-%m-%d} --end {now() + DAY:%Y-%m-%d}",
        ),
        ("see what is wrong, if anything", f"{home}trading-data doctor"),
    ):
        console.print(f"  {purpose:<33}{command}", markup=False, soft_wrap=True)


def _print_table(system: System, exporter: Exporter, console: Console) -> None:
    """A table on a terminal, plain lines elsewhere."""
    rows = [("metrics", "metrics for Prometheus", exporter.url, "")]
    for service in system.services():
        url = service.url.replace("postgresql+psycopg2", "postgresql")
        rows.append((service.name, service.what, url, str(service.log or "") if service.ours else "given by URL"))
    if not console.is_terminal:
        for row in rows:
            click.echo(f"{row[0]:<11}{row[1]:<28}{row[2]:<62}{row[3]}".rstrip())
        return
    table = Table(box=None)
    for name in ("service", "what", "address", "log"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _feed_options(feed: str, files: tuple[str, ...], symbols: str | None, pace: float, seed: int) -> list[str] | None:
    if files and feed != "replay":
        raise click.UsageError("FILES go with --feed replay")
    if feed == "none":
        return None
    which = [] if symbols is None else ["--symbols", symbols]
    if feed == "alpaca":
        AlpacaAccount.from_env()  # fails now rather than after everything else has started
        if isinstance(symbols_of(symbols), int):
            raise click.UsageError("--feed alpaca takes the names of symbols, such as --symbols AAPL,MSFT")
        return ["--kind", "alpaca", *which]
    if feed == "replay":
        if not files:
            raise click.UsageError("--feed replay needs FILES")
        return [
            "--kind",
            "replay",
            "--pace",
            "0" if pace == 1.0 else str(pace),
            *(file if "://" in file else str(Path(file).absolute()) for file in files),
        ]
    return [*which, "--pace", str(pace), "--seed", str(seed), "--round-the-clock"]


def _at_home(settings: Settings, home: Path) -> Settings:
    home = home.expanduser().absolute()
    return replace(
        settings,
        home=home,
        intake_uri=_moved(settings.intake_uri, settings.home, home),
        backup_uri=_moved(settings.backup_uri, settings.home, home),
    )


def _moved(uri: str, old: Path, new: Path) -> str:
    """A folder inside the old home moves to the new one; any other stays."""
    inside = Path(uri).is_relative_to(old)
    return str(new / Path(uri).relative_to(old)) if inside else uri


@dataclass(frozen=True)
class DagsterTroubles:
    """The keys of the open alerts, and the jobs of the runs that failed in the last minute."""

    alerts: Sequence[str]
    failed: Sequence[str]


class MinuteLine:
    """One line each minute (by the monotonic clock) about the last minute."""

    def __init__(self, settings: Settings, home: Path) -> None:
        """Read the ledger of the settings' archive. Dagster's instance in `home` is opened when the first line is due."""
        self._settings, self._home = settings, home
        self._archive = Archive(settings.require_timescale_url(), connect_timeout=2, statement="5s")
        self._last = time.monotonic()
        self._before: dict[str, Account] | None = None
        with suppress(TradingDataError):
            self._before = self._accounts()

    def text(self) -> str:
        """The line; empty before the minute is over, or if the archive does not answer."""
        if time.monotonic() - self._last < MINUTE:
            return ""
        since = now() - timedelta(seconds=time.monotonic() - self._last)
        self._last = time.monotonic()
        try:
            after = self._accounts()
        except TradingDataError:
            return ""
        before, self._before = self._before, after
        return "" if before is None else f"{now():%H:%M}Z  {minute_line(before, after, self._troubles(since))}"

    def _accounts(self) -> dict[str, Account]:
        return {name: account(self._archive, dataset) for name, dataset in DATASETS.items()}

    def _troubles(self, since: datetime) -> DagsterTroubles | None:
        from trading_data.orchestration.examine import last_minute  # Dagster takes two seconds to import

        try:
            return DagsterTroubles(*last_minute(self._settings, self._home, since))
        except TradingDataError:
            return None


def minute_line(before: dict[str, Account], after: dict[str, Account], troubles: DagsterTroubles | None) -> str:
    """The rows archived between two moments by dataset, open alerts, failed runs; None if Dagster's storage did not answer."""
    archived, rejected = [], 0
    for name, now_ in after.items():
        added = now_.inserted - before[name].inserted
        rejected += now_.quarantined - before[name].quarantined
        if added:
            archived.append(f"{name} {added:,}")
    parts = [f"rows archived: {', '.join(archived) or 'none'}"]
    if rejected:
        parts.append(f"rejected entries: {rejected:,}, see `trading-data quarantine list`")
    if troubles is None:
        return "; ".join([*parts, "Dagster's storage does not answer"])
    parts += [f"open alerts: {_names(troubles.alerts)}", f"failed runs: {_names(troubles.failed)}"]
    if troubles.alerts or troubles.failed:
        parts.append("see `trading-data doctor`")
    return "; ".join(parts)


def _names(names: Sequence[str]) -> str:
    """Their number and the names: `none`, or `3 (price, 2 trade)`."""
    if not names:
        return "none"
    groups = [name if count == 1 else f"{count} {name}" for name, count in Counter(names).items()]
    more = f", {counted(len(groups) - _NAMES_SHOWN, 'other')}" if len(groups) > _NAMES_SHOWN else ""
    return f"{len(names)} ({', '.join(groups[:_NAMES_SHOWN])}{more})"
