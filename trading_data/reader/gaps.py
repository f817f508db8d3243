"""Gaps between bars: closed sessions, or missing data. Bars are compared with a calendar, a week at a time."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from trading_data.calendars.calendar import TradingCalendar
from trading_data.calendars.open_intervals import MICROSECOND, Micros, index_of, micros_of, of_moment
from trading_data.errors import BadInput
from trading_data.reader.market_data import MarketData
from trading_data.reader.query import parse_symbols
from trading_data.times import now, utc

if TYPE_CHECKING:
    import pandas as pd

_AT_A_TIME = timedelta(days=7)


def gaps(
    reader: MarketData,
    symbols: str | Iterable[str] | None,
    start: datetime | str,
    end: datetime | str,
    calendar: TradingCalendar,
    interval: timedelta = timedelta(minutes=1),
) -> "pd.DataFrame":
    """The parts of [start, end) in which a symbol has no raw bar, each labelled closed or missing.

    A bar covers [timestamp, timestamp + `interval`), also outside a session. A gap is cut where the market opens and closes.
    The future is no gap. Bars are read a week at a time.

    Args:
        reader: both tiers.
        symbols: a symbol, several, or None for all that have a bar in the range. A named symbol without bars is one long gap.
        start: aware, or text with a zone.
        end: likewise.
        calendar: when the market of these symbols is open.
        interval: how long a bar is.

    Returns:
        `symbol`, `start`, `end` (datetime64[us, UTC]), `state` (`closed` or `missing`), by symbol and time.

    Raises:
        BadInput: the range is invalid or beyond the calendar, or `interval` is not positive.
        LiveTierError, ArchiveTierError: a tier is away.
    """
    if interval <= timedelta(0):
        raise BadInput(f"a bar's interval must be positive, not {interval}")
    low, high = utc(start, "start"), utc(end, "end")
    if low <= high:
        high = max(low, min(high, now()))
    calendar.range_of(low, high)
    symbols = parse_symbols(symbols)
    covered: dict[str, _Covered] = {symbol: _Covered(low) for symbol in symbols or ()}
    for begin, stop in _weeks(low - interval, high):
        bars = reader.prices(symbols, begin, stop)
        micros = micros_of(bars["timestamp"])
        for symbol, positions in bars.groupby("symbol", observed=True).indices.items():
            covered.setdefault(str(symbol), _Covered(low)).add(np.sort(micros[positions]), interval // MICROSECOND)
    return _labelled({symbol: covered[symbol].gaps(high) for symbol in sorted(covered)}, calendar)


class _Covered:
    """How far one symbol's bars reach, and the gaps before that; microseconds since 1970."""

    def __init__(self, start: datetime) -> None:
        self._reach = of_moment(start)
        self._starts: list[Micros] = []
        self._ends: list[Micros] = []

    def add(self, bars: Micros, width: int) -> None:
        """Add the starts of bars, in order, none before those added already, the first not ending before the beginning."""
        reach = np.concatenate([[self._reach], bars + width])
        after_gap = bars > reach[:-1]
        self._starts.append(reach[:-1][after_gap])
        self._ends.append(bars[after_gap])
        self._reach = int(reach[-1])

    def gaps(self, end: datetime) -> tuple[Micros, Micros]:
        """Starts and ends of the gaps up to `end`."""
        last = of_moment(end)
        rest = np.array([self._reach] if self._reach < last else [], dtype=np.int64)
        return np.concatenate([*self._starts, rest]), np.concatenate([*self._ends, np.full(len(rest), last)])


def _labelled(gaps_of: dict[str, tuple[Micros, Micros]], calendar: TradingCalendar) -> "pd.DataFrame":
    import pandas as pd

    none = np.zeros(0, dtype=np.int64)
    symbols = np.repeat(np.array(list(gaps_of), dtype=object), [len(starts) for starts, _ in gaps_of.values()])
    gap, starts, ends, closed = calendar.split(
        np.concatenate([none, *(starts for starts, _ in gaps_of.values())]),
        np.concatenate([none, *(ends for _, ends in gaps_of.values())]),
    )
    return pd.DataFrame(
        {
            "symbol": pd.Series(symbols[gap], dtype="str"),
            "start": index_of(starts),
            "end": index_of(ends),
            "state": pd.Series(np.where(closed, "closed", "missing"), dtype="str"),
        }
    )


def _weeks(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + _AT_A_TIME, end)
        start += _AT_A_TIME
