"""Feeds: what sends bars, fills and measurements into the live tier. `python -m trading_data.feed` runs one.

Belongs here: making records (`simulated`, with `walk` and `orders`; `replay`) and sending them (`pump`, with `sender`).
Does not: how records are written (`live.store`), and anything about the archive.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from trading_data.errors import BadInput
from trading_data.feed.minute import Minute
from trading_data.feed.pump import pump
from trading_data.feed.replay import EARLIEST, replay
from trading_data.feed.sender import FeedCounts
from trading_data.feed.simulated import SimulatedMarket, live_minutes
from trading_data.times import DAY, now

__all__ = ["FEEDS", "FeedCounts", "Minute", "SimulatedMarket", "live_minutes", "open_feed", "pump", "replay"]

FEEDS = ("simulated", "replay")


def open_feed(
    name: str,
    files: Sequence[str] = (),
    *,
    symbols: int | Sequence[str] = 50,
    seed: int = 7,
    pace: float | None = 1.0,
    round_the_clock: bool = False,
    day: date | None = None,
    earliest: datetime = EARLIEST,
) -> Iterator[Minute]:
    """What the feed `name` sends; hand it to `pump` with the same `pace`.

    `simulated` at pace 1.0 follows the real clock without end; at any other pace, or with a `day`, it is that UTC day
    (default: yesterday, so that no timestamp lies in the future) and ends. `replay` is the bars of `files`, none of
    them before `earliest` (aware), the first moment that the archive takes.

    Raises:
        BadInput: there is no feed of that name, the files do not fit it, or an argument is out of its range.
    """
    if name == "replay":
        return replay(files, earliest=earliest)
    if name != "simulated":
        raise BadInput(f"there is no feed {name!r}; there are {', '.join(FEEDS)}")
    if files:
        raise BadInput("the simulated feed takes no files; did you mean the feed replay?")
    if pace == 1.0 and day is None:
        return live_minutes(symbols, seed, round_the_clock)
    return iter(SimulatedMarket(symbols, day or now().date() - DAY, seed, round_the_clock=round_the_clock))
