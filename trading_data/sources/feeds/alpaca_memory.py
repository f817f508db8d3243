"""The memory of the Alpaca feed: the version of each bar that was sent last, and the ranges to request from history.

Belongs here: these two memories, both bounded. Does not: requests (`sources.feeds.alpaca`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_data.datasets.records import Bar
from trading_data.times import floor

MINUTE = timedelta(minutes=1)
_KEPT = 240
"""Newest bars of a symbol whose versions are remembered: four hours of a busy one."""
_HOUR = timedelta(hours=1)


class Versions:
    """The last sent version of each symbol's newest bars, and each symbol's position in time.

    A bar older than a symbol's newest 240 may count as never sent: sent again, it is an unchanged row.
    """

    def __init__(self) -> None:
        """No bar was sent yet."""
        self._known: dict[str, dict[datetime, tuple[tuple[float, ...], datetime | None]]] = {}
        self._begun: dict[str, datetime] = {}
        self._newest: dict[str, datetime] = {}

    def begin(self, symbol: str, moment: datetime) -> None:
        """Put a symbol without bars at `moment`."""
        self._begun.setdefault(symbol, moment)

    def newest(self, symbol: str) -> datetime:
        """The start of the symbol's newest bar, or the moment at which it was begun."""
        return self._newest.get(symbol) or self._begun[symbol]

    def is_begun(self, symbol: str) -> bool:
        """Whether the symbol was begun."""
        return symbol in self._begun

    def is_new(self, bar: Bar) -> bool:
        """Whether this version of the bar differs from the one sent last."""
        version = self._known.get(bar.symbol, {}).get(bar.timestamp)
        return version is None or version[0] != _values(bar)

    def streamed_since(self, bar: Bar, moment: datetime) -> bool:
        """Whether the version sent last came over the stream at or after `moment`."""
        version = self._known.get(bar.symbol, {}).get(bar.timestamp)
        return version is not None and version[1] is not None and version[1] >= moment

    def note(self, bar: Bar, streamed: datetime | None) -> None:
        """Note that the bar is sent now; `streamed` is when it came over the stream, None if it came from history."""
        known = self._known.setdefault(bar.symbol, {})
        known[bar.timestamp] = (_values(bar), streamed)
        self._newest[bar.symbol] = max(bar.timestamp, self._newest.get(bar.symbol, bar.timestamp))
        if len(known) > 2 * _KEPT:
            for begin in sorted(known)[:-_KEPT]:
                del known[begin]


def _values(bar: Bar) -> tuple[float, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


@dataclass(frozen=True)
class Hole:
    """A range to request from history: the bars of `symbols` that begin in [start, end)."""

    symbols: tuple[str, ...]
    start: datetime
    end: datetime


class Holes:
    """The ranges to request from history, and the moment from which a request makes sense."""

    def __init__(self, quantum: timedelta) -> None:
        """Rounds moments down to multiples of `quantum`, so that ranges due at about the same time are one request."""
        self._quantum = quantum
        self._due: dict[datetime, dict[str, tuple[datetime, datetime]]] = {}

    def add(self, hole: Hole, due: datetime) -> None:
        """Request `hole` from `due` on. A symbol's holes that are due together become one range."""
        if hole.start >= hole.end:
            return
        ranges = self._due.setdefault(floor(due, self._quantum), {})
        for symbol in hole.symbols:
            start, end = ranges.get(symbol, (hole.start, hole.end))
            ranges[symbol] = (min(start, hole.start), max(end, hole.end))

    def take(self, moment: datetime) -> list[Hole]:
        """Remove and return the holes that are due, oldest first; ranges that begin in one hour and end together are one hole."""
        out: list[Hole] = []
        for due in sorted(due for due in self._due if due <= moment):
            groups: dict[tuple[datetime, datetime], dict[str, datetime]] = {}
            for symbol, (start, end) in self._due.pop(due).items():
                groups.setdefault((floor(start, _HOUR), end), {})[symbol] = start
            out += [Hole(tuple(starts), min(starts.values()), end) for (_, end), starts in sorted(groups.items())]
        return out
