"""Feeds send bars, fills and measurements into the live tier. `python -m trading_data.sources.feeds` runs one.

Belongs here: making records (`simulated`, with `walk` and `orders`; `replay`; `alpaca`, with its stream), sending them
(`pump`, with `sender`), and the toy strategy beside the simulated ones (`desk`, with `toy`).
Does not: how records are written (`live.store`), and anything about the archive.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from trading_data.errors import BadInput
from trading_data.live.store import LiveStore
from trading_data.sources.feeds.alpaca import AlpacaFeed
from trading_data.sources.feeds.desk import Desk
from trading_data.sources.feeds.pump import Minute, pump
from trading_data.sources.feeds.replay import EARLIEST, replay
from trading_data.sources.feeds.sender import FeedCounts
from trading_data.sources.feeds.simulated import MINUTE, SimulatedMarket, live_minutes
from trading_data.sources.vendors.alpaca import AlpacaVendor
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.rate_limit import Patience
from trading_data.times import DAY, now

__all__ = [
    "FEEDS",
    "Desk",
    "FeedCounts",
    "Minute",
    "SimulatedMarket",
    "live_minutes",
    "open_feed",
    "pump",
    "replay",
    "symbols_of",
]

FEEDS = ("simulated", "replay", "alpaca")
_SYMBOLS = 50
_BARS: Mapping[str, Any] = {"fills_per_minute": 0.0, "metrics": 1}
"""The simulated market sends no fills; those, and figures about them, are the strategy's."""


def open_feed(
    name: str,
    files: Sequence[str] = (),
    *,
    symbols: int | Sequence[str] | None = None,
    seed: int = 7,
    pace: float | None = 1.0,
    round_the_clock: bool = False,
    day: date | None = None,
    earliest: datetime = EARLIEST,
    store: LiveStore | None = None,
    stop: threading.Event | None = None,
    report: Callable[[str], None] = print,
) -> Iterator[Minute]:
    """The minutes of the feed `name`; pass them to `pump` with the same `pace`, those of `alpaca` with None.

    `simulated` at pace 1.0 follows the real clock without end, from the minute that has just ended; at another pace, or with a
    `day`, it sends that UTC day (default: yesterday, so that no timestamp lies in the future) and ends. It has no fills: the
    strategy makes them, see `Desk`. `replay` sends the bars of `files`; none may be before `earliest` (aware), the first moment
    that the archive accepts. `alpaca` sends live bars, with the account from the environment, until `stop` is set.

    Args:
        name: one of `FEEDS`.
        files: for `replay`.
        symbols: for `simulated` names or their number (default 50), for `alpaca` names (default: `watchlist:current`).
        seed: for `simulated`.
        pace: for `simulated`.
        round_the_clock: for `simulated`.
        day: for `simulated`.
        earliest: as above; also of the bars of `alpaca`.
        store: for `alpaca`, with the watchlist and the symbols' latest bars.
        stop: for `alpaca`.
        report: gets lines for people.

    Raises:
        BadInput: there is no feed of that name, the files do not fit it, or an argument is out of its range.
        SettingError: the environment has no account for `alpaca`.
    """
    if name == "replay":
        return replay(files, earliest=earliest)
    if name not in FEEDS:
        raise BadInput(f"there is no feed {name!r}; there are {', '.join(FEEDS)}")
    if files:
        raise BadInput(f"the feed {name} takes no files; did you mean the feed replay?")
    if name == "alpaca":
        if store is None or isinstance(symbols, int):
            raise BadInput("the feed alpaca takes symbols by name, such as AAPL,MSFT, and a live store")
        return iter(_alpaca(store, symbols, threading.Event() if stop is None else stop, report, earliest))
    symbols = _SYMBOLS if symbols is None else symbols
    if pace == 1.0 and day is None:
        return live_minutes(symbols, seed, round_the_clock, begin=now() - MINUTE, **_BARS)
    day = day or now().date() - DAY
    return iter(SimulatedMarket(symbols, day, seed, round_the_clock=round_the_clock, **_BARS))


def symbols_of(text: str | None) -> int | list[str] | None:
    """The option `--symbols`: a number, or names with commas between them.

    Raises:
        BadInput: the text is neither.
    """
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    names = [name.strip() for name in text.split(",")]
    if not all(names) or "*" in names:
        raise BadInput(f"--symbols takes a number, or names such as AAPL,MSFT, not {text!r}")
    return names


def _alpaca(
    store: LiveStore,
    symbols: Sequence[str] | None,
    stop: threading.Event,
    report: Callable[[str], None],
    earliest: datetime,
) -> AlpacaFeed:
    account = AlpacaAccount.from_env()
    # Few retries: meanwhile the stream is not read, and a failed request is repeated anyway.
    vendor = AlpacaVendor(account, patience=Patience(tries=4, longest=8.0, wait=stop.wait), timeout=(5.0, 10.0))
    return AlpacaFeed(
        account,
        vendor,
        store.watchlist if symbols is None else lambda: symbols,
        latest=store.latest_bars,
        stop=stop,
        report=report,
        earliest=earliest,
    )
