"""`python -m trading_data.sources.feeds`: one feed, pumped until it ends or is told to stop. `trading-data up` starts it.

Belongs here: options, signals and the lines printed. Does not: feeds.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import click

from trading_data.errors import TradingDataError
from trading_data.live.store import LiveStore
from trading_data.settings import REDIS_URL, Settings
from trading_data.sources.feeds import FEEDS, Desk, FeedCounts, Minute, open_feed, pump, symbols_of
from trading_data.times import day_start

_EVERY = 59.0
"""Seconds from one line of counts to the next, at least: a market in real time has one for each of its minutes."""


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--kind", type=click.Choice(FEEDS), default="simulated", show_default=True, help="The source of the records."
)
@click.option(
    "--symbols", help="Their number, for simulated, or names: AAPL,MSFT. [default: 50; alpaca: watchlist:current]"
)
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same market.")
@click.option("--pace", default=1.0, show_default=True, help="Simulated seconds per second; 0 is as fast as possible.")
@click.option("--round-the-clock", is_flag=True, help="24 hours a day, not 14:30 to 21:00 UTC.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Simulate this UTC day. [default: now, or yesterday]")
@click.option("--redis-url", help=f"The live tier. [default: ${REDIS_URL}]")
def main(
    files: tuple[str, ...],
    kind: str,
    symbols: str | None,
    seed: int,
    pace: float,
    round_the_clock: bool,
    day: datetime | None,
    redis_url: str | None,
) -> None:
    """Send a feed into the live tier, with a line of counts a minute; SIGTERM or Ctrl-C ends it cleanly."""
    speed = None if kind == "alpaca" else pace or None
    name, stop = f"feed {kind}", threading.Event()
    try:
        settings = Settings.from_env()
        store = LiveStore.from_url(redis_url or settings.require_redis_url())
        minutes = open_feed(
            kind,
            files,
            symbols=symbols_of(symbols),
            seed=seed,
            pace=speed,
            round_the_clock=round_the_clock,
            day=day.date() if day else None,
            earliest=day_start(settings.start),
            store=store,
            stop=stop,
            report=lambda text: _say(f"{name}: {text}"),
        )
        _run(store, minutes, speed, name, stop, seed if kind == "simulated" else None)
    except TradingDataError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


def _run(
    store: LiveStore,
    minutes: Iterable[Minute],
    pace: float | None,
    name: str,
    stop: threading.Event,
    strategy_seed: int | None,
) -> None:
    counts = FeedCounts()

    def on_signal(*_: object) -> None:
        stop.set()

    def report(text: str) -> None:
        _say(f"{name}: {text}")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    # Not in this thread: a handler that sets an event for which its own thread waits can block for ever.
    with ThreadPoolExecutor(1) as pool:
        _say(f"{name}: begins")
        narrated = _narrated(minutes, counts, name)
        desk = None if strategy_seed is None else Desk(store, strategy_seed, counts, report)
        then = None if desk is None else desk.minute
        pool.submit(pump, store, narrated, pace=pace, stop=stop, report=report, counts=counts, then=then).result()
        if desk is not None:
            desk.close()
    store.close()
    _say(f"{name}: {'stopped' if stop.is_set() else 'ended'}: {counts}")


def _narrated(minutes: Iterable[Minute], counts: FeedCounts, name: str) -> Iterator[Minute]:
    """`minutes`, with a line of counts about once a minute."""
    last = time.monotonic()
    for minute in minutes:
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            _say(f"{name}: {counts}")
        yield minute


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
