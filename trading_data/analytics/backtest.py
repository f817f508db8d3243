"""Bars for a backtest, lined up in time, each in the row of the moment at which it was known.

Belongs here: alignment and what may be seen when. Does not: reading (`reader`), sessions (`sessions`), a backtester.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from trading_data.calendars.calendar import TradingCalendar
from trading_data.datasets import PRICE
from trading_data.errors import BadInput
from trading_data.reader.market_data import MarketData
from trading_data.times import now, utc

FIELDS = ("open", "high", "low", "close", "volume")

Fill = Literal["none", "close"]


def backtest_input(
    reader: MarketData,
    symbols: str | Iterable[str] | None,
    start: datetime | str,
    end: datetime | str,
    interval: str = "raw",
    *,
    as_of: datetime | str | None = None,
    calendar: TradingCalendar | None = None,
    fill: Fill = "none",
    bar_width: timedelta = timedelta(minutes=1),
) -> pd.DataFrame:
    """Bars of [start, end) by the moment at which each was complete: no row holds anything of a bar that ends after it.

    A bar that begins at 10:00 and is five minutes wide is in the row 10:05. A bar that is not complete at `end`, at `as_of`,
    or now, is not there. Without `as_of` a bar has the values that it has now, corrections included whenever they came; with
    it, those that the archive held at that moment, and what came later does not show.

    Args:
        reader: both tiers.
        symbols: which; None for all that have a bar in the range.
        start: earliest start of a bar; aware, or text with a zone.
        end: latest end of a bar; likewise.
        interval: `raw`, `5m`, `1h` or `1d`. Wider bars are made of all raw ones, those outside sessions included.
        as_of: the moment of whose knowledge the answer is to be; None for that of now.
        calendar: the rows are then the bars that its sessions should have, whether there are any or not, and bars outside
            sessions are left out. Without it there is a row where at least one symbol has a bar.
        fill: what is at a row for which a symbol has no bar. `none`: NaN. `close`: the close of its last bar before, with
            volume 0, and NaN for open, high and low; all NaN before its first bar in the range. Nothing is filled backwards.
        bar_width: how long a raw bar is, for the archive does not say. Wider ones are made of the raw bars that begin in
            them, so that raw ones have to begin at multiples of their width.

    Returns:
        float64; index `known` (datetime64[us, UTC]), ascending, without repetition; columns (`field`, `symbol`) with field
        open, high, low, close, volume, and every symbol asked for, in order.

    Raises:
        BadInput: the range, the interval or `fill` makes no sense, the calendar does not know the range, or a bar within a
            session does not begin where the calendar's grid has a row (then leave the calendar out).
        LiveTierError, ArchiveTierError: a tier is away.
    """
    if fill not in ("none", "close"):
        raise BadInput(f"fill must be none or close, not {fill!r}")
    first, last = utc(start, "start"), utc(end, "end")
    bucket = PRICE.rollup(interval) or PRICE.aggregate(interval)
    width = bar_width if bucket is None else bucket.width
    if bar_width <= timedelta(0) or width % bar_width:
        raise BadInput(f"bar_width must be positive and divide the interval, and {bar_width} does not divide {width}")
    wanted = symbols if symbols is None or isinstance(symbols, str) else sorted(set(symbols))
    bars = reader.prices(wanted, first, last, interval, as_of=as_of)
    limit = min(last, now() if as_of is None else utc(as_of, "as_of"))
    bars = bars.rename(columns={"bucket": "timestamp"})
    bars = bars[bars["timestamp"] + width <= limit]
    names = [wanted] if isinstance(wanted, str) else wanted or sorted(bars["symbol"].unique().tolist())
    found = bars.pivot(index="timestamp", columns="symbol", values=list(FIELDS))
    starts = found.index if calendar is None else _grid(calendar, first, limit, width, found.index)
    columns = pd.MultiIndex.from_product([FIELDS, names], names=["field", "symbol"])
    found = found.reindex(index=starts, columns=columns).astype("float64")
    if fill == "close" and len(columns):
        _carry_forward(found)
    found.index = pd.DatetimeIndex(found.index + width, name="known").as_unit("us")
    return found


def _grid(
    calendar: TradingCalendar, start: datetime, limit: datetime, width: timedelta, bars: pd.Index
) -> pd.DatetimeIndex:
    """The starts of the bars that sessions should have, if the bars that there are in sessions are among them."""
    grid = calendar.grid(start, max(limit, start), width)
    grid = grid[grid <= pd.Timestamp(limit - width)]
    odd = bars.difference(grid)
    odd = odd[calendar.inside(pd.DatetimeIndex(odd))]
    if len(odd):
        raise BadInput(
            f"a bar begins at {odd[0].isoformat()}, within a session of {calendar.name} but not on its grid of {width}: "
            "give the bars' own width, or leave the calendar out"
        )
    return grid


def _carry_forward(frame: pd.DataFrame) -> None:
    """Fill closes from the bar before, and the volumes beside them with 0."""
    closes, volumes = frame["close"].ffill(), frame["volume"]
    frame["close"] = closes.to_numpy()
    frame["volume"] = np.where(volumes.isna() & closes.notna(), 0.0, volumes)
