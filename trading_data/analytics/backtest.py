"""Bars for a backtest, aligned in time, each in the row of the moment at which it became known.

Belongs here: alignment without look-ahead. Does not: reading (`reader`), sessions (`calendars`), a backtester.
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
    """Bars of [start, end) by the moment at which each was complete: no row contains data of a bar that ends after it.

    A bar that begins at 10:00 and is five minutes wide is in the row 10:05. A bar that is incomplete at `end`, at `as_of`, or
    now, is left out. Without `as_of`, bars have their present values, with corrections of any date; with it, those of the archive
    at that moment.

    Args:
        reader: both tiers.
        symbols: the symbols; None for all with a bar in the range.
        start: earliest start of a bar; aware, or text with a zone.
        end: latest end of a bar; likewise.
        interval: `raw`, `5m`, `1h` or `1d`. Wider bars are aggregated from all raw ones, those outside sessions included.
        as_of: the moment as of which the archive is read; None for now.
        calendar: if given, the rows are the bars expected in its sessions, present or not, and bars outside sessions are left
            out. Without it there is a row wherever at least one symbol has a bar.
        fill: the values of a row in which a symbol has no bar. `none`: NaN. `close`: the close of its previous bar, volume 0,
            and NaN for open, high and low; all NaN before its first bar in the range. Nothing is filled backwards.
        bar_width: the width of a raw bar, which the archive does not record. Wider bars are made of the raw bars that begin in
            them, so raw bars have to begin at multiples of their width.

    Returns:
        float64; index `known` (datetime64[us, UTC]), ascending and unique; columns (`field`, `symbol`) with the fields open,
        high, low, close, volume, and all requested symbols in order.

    Raises:
        BadInput: the range, the interval or `fill` is invalid, the calendar does not cover the range, or a bar within a
            session does not begin on the calendar's grid (then leave the calendar out).
        LiveTierError, ArchiveTierError: a tier is unavailable.
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
    aligned = bars.pivot(index="timestamp", columns="symbol", values=list(FIELDS))
    starts = aligned.index if calendar is None else _grid(calendar, first, limit, width, aligned.index)
    columns = pd.MultiIndex.from_product([FIELDS, names], names=["field", "symbol"])
    aligned = aligned.reindex(index=starts, columns=columns).astype("float64")
    if fill == "close" and len(columns):
        _carry_forward(aligned)
    aligned.index = pd.DatetimeIndex(aligned.index + width, name="known").as_unit("us")
    return aligned


def _grid(
    calendar: TradingCalendar, start: datetime, limit: datetime, width: timedelta, bars: pd.Index
) -> pd.DatetimeIndex:
    """The starts of the bars expected in sessions. All present bars in sessions have to be among them."""
    grid = calendar.grid(start, max(limit, start), width)
    grid = grid[grid <= pd.Timestamp(limit - width)]
    off_grid = bars.difference(grid)
    off_grid = off_grid[calendar.inside(pd.DatetimeIndex(off_grid))]
    if len(off_grid):
        raise BadInput(
            f"a bar begins at {off_grid[0].isoformat()}, within a session of {calendar.name} but not on its grid of {width}: "
            "pass the width of the bars as bar_width, or leave the calendar out"
        )
    return grid


def _carry_forward(frame: pd.DataFrame) -> None:
    """Fill closes from the previous bar, and their volumes with 0."""
    closes, volumes = frame["close"].ffill(), frame["volume"]
    frame["close"] = closes.to_numpy()
    frame["volume"] = np.where(volumes.isna() & closes.notna(), 0.0, volumes)
