"""What the feed of Alpaca remembers: which version of a bar was handed over, and what has to be asked of history.

Belongs here: these two memories, both bounded. Does not: asking (`sources.feeds.alpaca`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_data.datasets.records import Bar
from trading_data.times import floor

MINUTE = timedelta(minutes=1)
_KEPT = 240
"""Newest bars a symbol of which the version is remembered: four hours of a busy one."""
_HOUR = timedelta(hours=1)


class Versions:
    """The version of each of a symbol's newest bars that was handed over last, and where the symbol stands.

    What is older than the newest 240 bars of a symbol may count as never handed over: sent again it is an unchanged row.
    """

    def __init__(self) -> None:
        """Nothing was handed over."""
        self._known: dict[str, dict[datetime, tuple[tuple[float, ...], datetime | None]]] = {}
        self._begun: dict[str, datetime] = {}
        self._newest: dict[str, datetime] = {}

    def begin(self, symbol: str, moment: datetime) -> None:
        """As long as the symbol has no bar it stands at `moment`."""
        self._begun.setdefault(symbol, moment)

    def newest(self, symbol: str) -> datetime:
        """Where the symbol stands: the start of its newest bar, or where it was begun."""
        return self._newest.get(symbol) or self._begun[symbol]

    def is_begun(self, symbol: str) -> bool:
        """Whether the symbol was begun."""
        return symbol in self._begun

    def is_new(self, bar: Bar) -> bool:
        """Whether this version of the bar is another one than that handed over last."""
        found = self._known.get(bar.symbol, {}).get(bar.timestamp)
        return found is None or found[0] != _values(bar)

    def streamed_since(self, bar: Bar, moment: datetime) -> bool:
        """Whether the version handed over last came over the stream at `moment` or after it."""
        found = self._known.get(bar.symbol, {}).get(bar.timestamp)
        return found is not None and found[1] is not None and found[1] >= moment

    def note(self, bar: Bar, streamed: datetime | None) -> None:
        """The bar is handed over now; `streamed` is when it came over the stream, None if it came from history."""
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
    """The bars of `symbols` that begin in [start, end) have to be asked of history."""

    symbols: tuple[str, ...]
    start: datetime
    end: datetime


class Holes:
    """What has to be asked of history, and from when on that makes sense."""

    def __init__(self, quantum: timedelta) -> None:
        """Moments are rounded down to whole `quantum`s, so that what comes up at about one time is asked at once."""
        self._quantum = quantum
        self._due: dict[datetime, dict[str, tuple[datetime, datetime]]] = {}

    def add(self, hole: Hole, due: datetime) -> None:
        """Ask for `hole` from `due` on. Of one symbol all that is asked at one moment becomes one range."""
        if hole.start >= hole.end:
            return
        ranges = self._due.setdefault(floor(due, self._quantum), {})
        for symbol in hole.symbols:
            start, end = ranges.get(symbol, (hole.start, hole.end))
            ranges[symbol] = (min(start, hole.start), max(end, hole.end))

    def take(self, moment: datetime) -> list[Hole]:
        """Give up what is due, oldest first; symbols whose range begins within one hour and ends at one time together."""
        out: list[Hole] = []
        for due in sorted(due for due in self._due if due <= moment):
            groups: dict[tuple[datetime, datetime], dict[str, datetime]] = {}
            for symbol, (start, end) in self._due.pop(due).items():
                groups.setdefault((floor(start, _HOUR), end), {})[symbol] = start
            out += [Hole(tuple(starts), min(starts.values()), end) for (_, end), starts in sorted(groups.items())]
        return out
