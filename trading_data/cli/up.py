"""`trading-data up`: the whole system, until Ctrl-C.

Belongs here: options, the table, watching and stopping. Does not: starting (`trading_data.local`).
"""

import shlex
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from trading_data.cli.minute import MinuteLine
from trading_data.errors import ServerError
from trading_data.local.stack import System
from trading_data.operations.exporter.server import Exporter
from trading_data.settings import HOME, Settings
from trading_data.sources.feeds import symbols_of
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.times import DAY, now

_REST = 60.0
"""A server that dies again sooner than that after it was started again has a reason that stays."""
_FEEDS = ("simulated", "replay", "alpaca", "none")


@click.command("up")
@click.option("--feed", type=click.Choice(_FEEDS), default="simulated", show_default=True, help="What sends bars.")
@click.option(
    "--port", default=3000, show_default=True, help="Port of the web server, on loopback; 0 for any that is free."
)
@click.option("--home", type=click.Path(path_type=Path), help="Folder for everything. [default: $TRADING_DATA_HOME]")
@click.option(
    "--symbols", help="How many, for simulated, or which: AAPL,MSFT. [default: 50; alpaca: watchlist:current]"
)
@click.option("--pace", default=1.0, show_default=True, help="Simulated seconds a second.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same market.")
@click.argument("files", nargs=-1)
def command(
    feed: str, port: int, home: Path | None, symbols: str | None, pace: float, seed: int, files: tuple[str, ...]
) -> None:
    """Start everything that no URL points at, print one table of URLs, stay up until Ctrl-C.

    FILES are what `--feed replay` sends: CSV or Parquet with the columns of a bar.
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
        _print_next(system, console)
        console.print("Press Ctrl-C to stop.")
        _watch(system, stop, console)
    finally:
        console.print("stopping")
        if exporter is not None:
            exporter.close()
        system.stop()


def _watch(system: System, stop: threading.Event, console: Console) -> None:
    """Until Ctrl-C. A server, or a part of Dagster, that dies is started again; if it dies once more soon, all ends."""
    feed_told = False
    revived: dict[str, float] = {}
    minute = MinuteLine(system.settings, system.dagster_home)
    while not stop.wait(0.5):
        servers, dead = system.dead_servers(), system.dead()
        moment = time.monotonic()
        if servers and all(moment - revived.get(name, -_REST) >= _REST for name in servers):
            console.print(f"{', '.join(servers)} died, and is started again; nothing that was accepted is lost")
            system.revive(lambda line: console.print(line))
            revived |= dict.fromkeys(servers, moment)
        elif dead:
            name, log = dead[0]
            console.print(log, markup=False)
            raise ServerError(
                f"{name} died; the end of its log is above. Start again: nothing that was accepted is lost"
            )
        for said in filter(None, (system.moved(), minute.said())):
            console.print(said, markup=False, soft_wrap=True)
        if not feed_told and system.feed_ended():
            console.print("the feed has come to its end; everything else stays up")
            feed_told = True


def _print_next(system: System, console: Console) -> None:
    """The three things to do next."""
    home = (
        "" if system.settings.home == Settings.from_env().home else f"{HOME}={shlex.quote(str(system.settings.home))} "
    )
    console.print("next, in another shell (commands are in .venv/bin):", markup=False)
    for what, command in (
        ("look at runs and lineage", system.page),
        (
            "read bars, live and archived",
            f"{home}trading-data query prices --start {now():%Y-%m-%d} --end {now() + DAY:%Y-%m-%d}",
        ),
        ("see what is wrong, if anything", f"{home}trading-data doctor"),
    ):
        console.print(f"  {what:<33}{command}", markup=False, soft_wrap=True)


def _print_table(system: System, exporter: Exporter, console: Console) -> None:
    """A table on a terminal, plain lines elsewhere."""
    rows = [("metrics", "figures for Prometheus", exporter.url, "")]
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
        AlpacaAccount.from_env()  # rather now than when everything else has started
        if isinstance(symbols_of(symbols), int):
            raise click.UsageError("--feed alpaca takes --symbols by name, such as AAPL,MSFT")
        return ["--kind", "alpaca", *which]
    if feed == "replay":
        if not files:
            raise click.UsageError("--feed replay wants the FILES to send")
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
    """A folder that was inside the old home is inside the new one; any other stays."""
    inside = Path(uri).is_relative_to(old)
    return str(new / Path(uri).relative_to(old)) if inside else uri
