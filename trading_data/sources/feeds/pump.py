"""From a feed into the live tier: `pump` sends one `Minute` after the other at a pace, and loses no record.

Belongs here: the pace, and the end. Does not: retries (`sender`), making records (`simulated`, `replay`).
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.errors import BadInput
from trading_data.live.store import LiveStore
from trading_data.sources.feeds.sender import FeedCounts, Sender
from trading_data.times import now


@dataclass(frozen=True, slots=True)
class Minute:
    """Records that are sent together, in this order.

    `at` (aware, UTC) is the moment at which they are sent, the end of their minute. No record has a later timestamp.
    """

    at: datetime
    bars: list[Bar] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)


_LONGEST_GAP = timedelta(minutes=1)
"""Longer gaps in recorded data, such as nights and weekends, are shortened to this."""
_LONGEST_SLEEP = 60.0
"""Seconds after which the clock is read again: a suspended machine sleeps longer than it counts."""


class Clock(Protocol):
    """The clock of `pump`; another one instead of the machine's can run faster."""

    def now(self) -> datetime:
        """The present moment, aware."""

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Let `seconds` pass and return False, or return True as soon as `stop` is set."""


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""
        return now()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Sleep for `seconds` and return False, or return True as soon as `stop` is set."""
        return stop.wait(seconds)


def pump(
    store: LiveStore,
    minutes: Iterable[Minute],
    *,
    pace: float | None,
    stop: threading.Event,
    report: Callable[[str], None],
    clock: Clock | None = None,
    counts: FeedCounts | None = None,
    then: Callable[[Minute], None] | None = None,
) -> FeedCounts:
    """Send `minutes` in order until they end or `stop` is set; records that the live tier refuses are sent again.

    Args:
        store: the live tier.
        minutes: the records to send.
        pace: simulated seconds per second, or None for as fast as possible: at 1.0 a minute takes 60 seconds, at 60 one
            second; a longer gap counts as a minute. At 1.0 with a first `at` in the future, or less than a minute ago, the
            market is live: nothing is sent before its `at` on the clock, and after an outage the held-up minutes follow at once.
        stop: checked between minutes and while waiting. A minute that has begun is finished, if the live tier accepts it.
        report: gets one line when the live tier begins to refuse records, and one when that is over.
        clock: default the machine's.
        counts: updated in place, so that other threads can read it meanwhile; default a new one.
        then: called with each minute after it was sent.

    Returns:
        The counts.

    Raises:
        BadInput: `pace` is not above zero, or a record breaks a rule of its dataset; none of its block was written.
    """
    if pace is not None and not pace > 0:
        raise BadInput(f"pace must be above zero, or None for as fast as possible, not {pace}")
    clock = RealClock() if clock is None else clock
    counts = FeedCounts() if counts is None else counts
    sender = Sender(store, counts, report, lambda seconds: clock.wait(seconds, stop))
    for minute in _in_time(minutes, pace, clock, stop):
        with sender.one_minute():
            sender.send(PRICE, minute.bars)
            sender.send(TRADE, minute.fills)
            sender.send(METRICS, minute.measurements)
        if then is not None and not stop.is_set():
            then(minute)
        if stop.is_set():
            break
    sender.over()
    return counts


def _in_time(minutes: Iterable[Minute], pace: float | None, clock: Clock, stop: threading.Event) -> Iterator[Minute]:
    due = previous = clock.now()
    live: bool | None = None
    for minute in minutes:
        if pace is not None:
            if live is None:
                live = pace == 1.0 and minute.at > due - _LONGEST_GAP
            else:
                due += min(max(minute.at - previous, timedelta()), _LONGEST_GAP) / pace
            previous = minute.at
            while (left := ((minute.at if live else due) - clock.now()).total_seconds()) > 0:
                if clock.wait(min(left, _LONGEST_SLEEP), stop):
                    return
        if stop.is_set():
            return
        yield minute
