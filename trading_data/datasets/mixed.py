"""Recognises wide bars among minutes of the same symbol: daily, hourly and 5-minute bars in a file of minutes.

Timestamps are not enough: 00:00 is a minute, too. A wide bar covers the bars within its width: they lie within its high and low,
and their volumes add up to no more than its own. One of several independent volumes exceeds the sum of n others with a chance of
about 2**-n, so n covered bars are n bits of evidence; at most 20, because volumes have long tails, and a minute of news may exceed
its day. A verdict needs 40 bits, so more evidence is needed: other days at the same time of day, another bar with the same
timestamp, an hour without any bar in between, or exactly the high and the low of the covered bars. Days whose bars all lie on one
grid count as in `datasets.widths`.

Belongs here: this rule. Does not: symbols without minutes (`datasets.widths`), reading files (`trading_data.sources.files.bars`).
"""

from itertools import pairwise
from math import log2
from typing import Any

import numpy as np

from trading_data.datasets.widths import CERTAIN, GRIDS, Mask, Numbers

Doubles = np.ndarray[Any, np.dtype[np.float64]]

_DAY, _HOUR, _MINUTE_US = 24 * 60, 60, 60_000_000
_WITHIN = 22 * 60
"""Minutes that a daily bar covers for certain: when summer time begins, the next is 23 hours away."""
_MOST, _ALONE, _SAME_STAMP, _EXACT, _BY_PRICES = 20, 30, 20, 20, 12
"""Bits of evidence: at most for covered bars; for an hour without a bar in between; for another bar with the same timestamp; for
exactly their high and low; for covered prices but not volume, with an hour in between."""
_FEW, _SEVERAL = 5, 10
_INSIDE, _AGREEING = 0.75, 0.9
"""Shares: of the covered bars that must lie within high and low (trades before the opening, and bad ticks, do not), and of the
bars at one time of day that must cover others."""
_SURE_DAY = 20.0
"""Bits that a day on a grid needs by itself: among thousands of days of sparse minutes some lie on a grid by accident."""
_BITS_A_DAY = log2(_DAY // 2)
"""As in `datasets.widths`: the time of day may be an hour off."""
_TIME_BITS = 28
_TIME = (1 << _TIME_BITS) - 1
_WIDTHS = np.array(sorted(grid.seconds // 60 for grid in GRIDS))


def wide_among_minutes(symbols: Numbers, times: Numbers, high: Doubles, low: Doubles, volume: Doubles) -> Numbers:
    """The width of each bar in minutes; 1 without evidence for more.

    Args:
        symbols: the number of each bar's symbol, from 0.
        times: starts (for wide bars also ends) of the bars, microseconds since 1970 UTC.
        high: highest prices.
        low: lowest prices.
        volume: units traded.
    """
    keys = (symbols << _TIME_BITS) + times // _MINUTE_US
    order, steps = np.arange(len(keys)), np.diff(keys)
    if np.any(steps <= 0):
        order = np.lexsort((-volume, low - high, keys))
    bars = _Bars(keys[order], high[order], low[order], volume[order])
    again = np.append(False, np.logical_and.reduce([np.diff(values) == 0 for values in bars.columns]))[: len(keys)]
    if again.any():
        bars = _Bars(*(values[~again] for values in bars.columns))
    distinct = np.ones(len(bars.keys), dtype=np.int64)
    if len(distinct) > 1:
        distinct = np.maximum.reduce(
            [distinct, _both(bars, _days(bars), _within_days(bars)), _lone_days(bars), _days_on_grids(bars)]
        )
    widths = np.empty(len(keys), dtype=np.int64)
    widths[order] = distinct[np.cumsum(~again) - 1]  # a repeated row is as wide as the first
    return widths


class _Bars:
    """Bars by symbol and time, without repetitions; the widest of one timestamp first."""

    def __init__(self, keys: Numbers, high: Doubles, low: Doubles, volume: Doubles) -> None:
        """Arrays of one length; a key is a symbol's number and, in the lower bits, minutes since 1970."""
        self.columns = (keys, high, low, volume)
        self.keys, self.high, self.low, self.volume = self.columns
        self.moved: Mask = high > low
        self.total = np.append(0.0, np.cumsum(volume))
        self.steps = np.diff(keys)

    def after(self, width: int) -> tuple[Numbers, Numbers]:
        """The bars less than `width` minutes after each bar: the positions of the first, and of the one after the last."""
        return np.arange(1, len(self.keys) + 1), np.searchsorted(self.keys, self.keys + width, "left")

    def before(self, width: int) -> tuple[Numbers, Numbers]:
        """As `after`, for the bars before each bar."""
        return np.searchsorted(self.keys, self.keys - width, "right"), np.arange(len(self.keys))

    def ample(self, first: Numbers, last: Numbers) -> Mask:
        """Whether each bar's volume is at least that of the bars from `first` to `last`."""
        enough: Mask = (self.volume > 0) & (self.volume * (1 + 1e-9) >= self.total[last] - self.total[first])
        return enough

    def covered(self, rows: Numbers, first: Numbers, last: Numbers) -> tuple[Mask, Mask]:
        """Whether each of `rows` covers its others, at least one, by high and low, and whether these are exactly theirs."""
        count = last - first
        starts = np.cumsum(count) - count
        others = np.arange(count.sum()) + np.repeat(first - starts, count)
        high, low = self.high[others], self.low[others]
        inside = (high <= np.repeat(self.high[rows], count)) & (low >= np.repeat(self.low[rows], count))
        exact = np.maximum.reduceat(high, starts) == self.high[rows]
        exact &= np.minimum.reduceat(low, starts) == self.low[rows]
        return np.add.reduceat(inside.astype(np.int64), starts) >= _INSIDE * count, exact


def _times_of_day(keys: Numbers) -> Numbers:
    """A number for each symbol and minute of the day, in order of symbols."""
    return (keys >> _TIME_BITS) * _DAY + (keys & _TIME) % _DAY


def _days(bars: _Bars) -> Numbers:
    """Daily bars that cover the minutes after them or, stamped at their end, before them; and lone bars at such times of day."""
    widths = np.zeros(len(bars.keys), dtype=np.int64)
    none = np.iinfo(np.int64).max
    for (first, last), distance in (
        (bars.after(_WITHIN), np.append(bars.steps, none)),
        (bars.before(_WITHIN), np.append(none, bars.steps)),
    ):
        sure = _sure_days(bars, first, last, distance)
        if len(sure):
            times = _times_of_day(bars.keys)
            widths[sure] = _DAY
            alike = np.isin(times, np.concatenate([times[sure] + off for off in (-_HOUR, 0, _HOUR)]))
            widths[alike & (first == last) & bars.moved] = _DAY
    return widths


def _sure_days(bars: _Bars, first: Numbers, last: Numbers, distance: Numbers) -> Numbers:
    """Bars that are certainly daily, by the others from `first` to `last`, the nearest of which is `distance` minutes away."""
    count, ample = last - first, bars.ample(first, last)
    alone = (distance >= _HOUR) & (count >= _SEVERAL)
    rows = np.flatnonzero((count > 0) & bars.moved & (ample | alone))
    if not len(rows):
        return rows
    inside, exact = bars.covered(rows, first[rows], last[rows])
    rows, exact = rows[inside], exact[inside]
    same = np.append(bars.steps == 0, False) | np.append(False, bars.steps == 0)
    bits = np.where(ample[rows], np.minimum(count[rows], _MOST) + _ALONE * alone[rows], _BY_PRICES)
    bits += _SAME_STAMP * same[rows] + _EXACT * (exact & (count[rows] >= _FEW))
    times = _times_of_day(bars.keys)
    names, which, covering = np.unique(times[rows], return_inverse=True, return_counts=True)
    asked = _times_of_day(np.unique(bars.keys[np.isin(times, names) & (count > 0)]))
    agreed = covering >= _AGREEING * np.bincount(np.searchsorted(names, asked), minlength=len(names))
    together = agreed & (np.bincount(which, bits, len(names)) >= CERTAIN)
    return rows[(bits >= CERTAIN) | together[which]]


def _lone_days(bars: _Bars) -> Numbers:
    """Bars without another for a day before and after, if nearly all such bars of the symbol are at one time of day."""
    widths = np.zeros(len(bars.keys), dtype=np.int64)
    near = bars.steps < _WITHIN
    rows = np.flatnonzero(~(np.append(near, False) | np.append(False, near)))
    symbols = bars.keys[rows] >> _TIME_BITS
    edges = np.flatnonzero(np.diff(symbols, prepend=-1, append=-1))
    for start, stop in pairwise(edges):
        lone = rows[start:stop]
        if (stop - start) * _BITS_A_DAY < CERTAIN:
            continue
        minute = (bars.keys[lone] & _TIME) % _DAY
        usual = np.bincount(minute).argmax()
        alike = np.isin((minute - usual) % _DAY, (0, _HOUR, _DAY - _HOUR))
        counted = alike & (bars.moved[lone] | (minute == 0))
        if alike.sum() >= _AGREEING * len(lone) and (counted.sum() - 1) * _BITS_A_DAY >= CERTAIN:
            widths[lone[alike]] = _DAY
    return widths


def _days_on_grids(bars: _Bars) -> Numbers:
    """Bars of UTC days whose bars all lie on one grid: at least two such days, and only bars that moved are evidence."""
    widths = np.zeros(len(bars.keys), dtype=np.int64)
    minute = (bars.keys & _TIME) % _DAY
    starts = np.flatnonzero(np.append(True, np.diff(bars.keys - minute) != 0))
    since = minute - np.repeat(minute[starts], np.diff(starts, append=len(minute)))
    steps = np.gcd.reduceat(since, starts)
    moved = np.add.reduceat(bars.moved.astype(np.int64), starts)
    few = np.flatnonzero((steps >= _WIDTHS[0]) & (moved > 1))
    if not len(few):
        return widths
    fits = (steps[few, None] % _WIDTHS == 0) & (moved[few, None] * np.log2(_WIDTHS) >= _SURE_DAY)
    few, width = few[fits.any(axis=1)], _WIDTHS[fits.shape[1] - 1 - fits[fits.any(axis=1)][:, ::-1].argmax(axis=1)]
    begin = starts[few]
    names = ((bars.keys[begin] >> _TIME_BITS) * _DAY + width) * _DAY + minute[begin] % width
    bits = moved[few] * np.log2(width)
    _, which = np.unique(names, return_inverse=True)
    sure = np.bincount(which, bits)[which] - np.log2(width) >= CERTAIN
    ends = np.append(starts, len(minute))[few + 1]
    for start, stop, wide in zip(begin[sure], ends[sure], width[sure], strict=True):
        widths[start:stop] = wide
    return widths


def _within_days(bars: _Bars) -> Numbers:
    """Bars of hours and less that cover the bars within their width: those that share a timestamp with another bar, and those at
    the same minutes of other hours.
    """
    shared = np.flatnonzero(bars.steps == 0)
    if not len(shared):
        return np.zeros(len(bars.keys), dtype=np.int64)
    widths, bits = _covering(bars, shared, 2)
    symbols = bars.keys >> _TIME_BITS
    widths[np.bincount(symbols, bits)[symbols] < CERTAIN] = 0
    at = symbols * _HOUR + (bars.keys & _TIME) % _HOUR
    others = np.flatnonzero(np.isin(at, at[widths > 0]) & (widths == 0))
    return np.maximum(widths, _covering(bars, others, _SEVERAL)[0]) if len(others) else widths


def _covering(bars: _Bars, chosen: Numbers, least: int) -> tuple[Numbers, Doubles]:
    """The widths of the chosen bars that cover at least `least` others, and the bits of evidence."""
    widths, bits, seen = np.zeros(len(bars.keys), dtype=np.int64), np.zeros(len(bars.keys)), np.zeros(len(bars.keys))
    for width in _WIDTHS:
        first, last = bars.after(int(width))
        count = last - first
        rows = chosen[(bars.ample(first, last) & bars.moved & (count >= least) & (count > seen))[chosen]]
        if len(rows):
            inside, exact = bars.covered(rows, first[rows], last[rows])
            rows, exact = rows[inside], exact[inside]
            widths[rows], seen[rows] = width, count[rows]
            bits[rows] = np.minimum(count[rows], _MOST) + _EXACT * (exact & (count[rows] >= _FEW))
    return widths, bits


def _both(bars: _Bars, days: Numbers, within: Numbers) -> Numbers:
    """The widths of bars that may be a day or less; only one bar a day can be a daily one."""
    wide = np.flatnonzero((days > 0) | (within > 0))
    near = np.diff(bars.keys[wide]) < _WITHIN
    one_of_several = np.zeros(len(days), dtype=bool)
    one_of_several[wide] = np.append(near, False) | np.append(False, near)
    return np.where((within > 0) & one_of_several, within, np.maximum(days, within * (days == 0)))
