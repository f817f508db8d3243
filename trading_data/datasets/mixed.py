"""Recognises wide bars among minutes of the same symbol: daily, hourly and 5-minute bars in a file of minutes.

Timestamps are not enough: 00:00 is a minute, too. A wide bar covers the bars within its width: they lie within its high and low,
and their volumes add up to no more than its own. One of several independent volumes exceeds the sum of n others with a chance of
about 2**-n, so n covered bars are n bits of evidence; at most 20, because volumes have long tails, and a minute of news may exceed
its day. A verdict needs 40 bits, so more evidence is needed: other days at the same time of day, another bar with the same
timestamp, an hour without any bar in between, or exactly the high and the low of the covered bars. A bar at midnight UTC with an
hour without bars on both sides has its time of day as evidence. Days whose bars all lie on one grid count as in `datasets.widths`.

Belongs here: this rule. Does not: symbols without minutes (`datasets.widths`), reading files (`trading_data.sources.files.bars`).
"""

from collections.abc import Callable
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np

from trading_data.datasets.widths import CERTAIN, GRIDS, Mask, Numbers

Doubles = np.ndarray[Any, np.dtype[np.float64]]
_Window = Callable[[Numbers, int], tuple[Numbers, Numbers]]

_DAY, _HOUR, _MINUTE_US = 24 * 60, 60, 60_000_000
_WITHIN = 22 * 60
"""Minutes that a daily bar covers for certain: when summer time begins, the next is 23 hours away."""
_MOST, _ALONE, _SAME_STAMP, _EXACT, _BY_PRICES = 20, 30, 20, 20, 12
"""Bits of evidence: at most for covered bars; for an hour without a bar in between; for another bar with the same timestamp; for
exactly their high and low; for covered prices but not volume, with an hour in between."""
_FEW, _SEVERAL = 5, 10
_NEXT = 8
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
    again = np.append(False, bars.steps == 0)[: len(keys)]
    if again.any():
        again = np.append(False, np.logical_and.reduce([np.diff(values) == 0 for values in bars.columns]))
        bars = _Bars(*(values[~again] for values in bars.columns))
    distinct = np.ones(len(bars.keys), dtype=np.int64)
    if len(distinct) > 1:
        distinct = np.maximum.reduce(
            [
                *(distinct, _both(bars, _days(bars), _within_days(bars)), _lone_days(bars)),
                *(_days_at_midnight(bars), _days_on_grids(bars)),
            ]
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

    def after(self, rows: Numbers, width: int) -> tuple[Numbers, Numbers]:
        """The bars less than `width` minutes after each of `rows`: the positions of the first, and of the one after the last."""
        return rows + 1, np.searchsorted(self.keys, self.keys[rows] + width, "left")

    def before(self, rows: Numbers, width: int) -> tuple[Numbers, Numbers]:
        """As `after`, for the bars before each of `rows`."""
        return np.searchsorted(self.keys, self.keys[rows] - width, "right"), rows

    def ample(self, rows: Numbers, first: Numbers, last: Numbers) -> Mask:
        """Whether the volume of each of `rows` is at least that of the bars from `first` to `last`."""
        volume = self.volume[rows]
        enough: Mask = (volume > 0) & (volume * (1 + 1e-9) >= self.total[last] - self.total[first])
        return enough

    def may_be_ample(self) -> tuple[Mask, Mask]:
        """Which bars may be `ample` for a day after and before them: all but those with less volume than the next few together.

        Costs a fraction of the exact answer, and leaves few bars of a file of minutes.
        """
        after, before = np.ones(len(self.keys), dtype=bool), np.ones(len(self.keys), dtype=bool)
        if len(self.keys) > _NEXT:
            within = self.keys[_NEXT:] - self.keys[:-_NEXT] < _WITHIN
            enough = self.volume * (1 + 1e-9)
            after[:-_NEXT] = ~within | (enough[:-_NEXT] >= self.total[_NEXT + 1 :] - self.total[1:-_NEXT])
            before[_NEXT:] = ~within | (enough[_NEXT:] >= self.total[_NEXT:-1] - self.total[: -_NEXT - 1])
        return after & self.moved, before & self.moved

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
    far = bars.steps >= _HOUR
    after, before = bars.may_be_ample()
    for window, distant, likely in (
        (bars.after, np.append(far, True), after),
        (bars.before, np.append(True, far), before),
    ):
        sure = _sure_days(bars, window, distant, np.flatnonzero(likely | (distant & bars.moved)))
        if len(sure):
            times = _times_of_day(bars.keys)
            alike = np.isin(times, np.concatenate([times[sure] + off for off in (-_HOUR, 0, _HOUR)]))
            rows = np.flatnonzero(alike & bars.moved)
            first, last = window(rows, _WITHIN)
            widths[sure] = widths[rows[first == last]] = _DAY
    return widths


def _sure_days(bars: _Bars, window: _Window, distant: Mask, rows: Numbers) -> Numbers:
    """Those of `rows` that are certainly daily, by the others in the window of a day; `distant` if the nearest is an hour away."""
    first, last = window(rows, _WITHIN)
    ample, alone = bars.ample(rows, first, last), distant[rows] & (last - first >= _SEVERAL)
    chosen = (last > first) & (ample | alone)
    if not chosen.any():
        return rows[chosen]
    inside, exact = bars.covered(rows[chosen], first[chosen], last[chosen])
    kept, exact = np.flatnonzero(chosen)[inside], exact[inside]
    rows, count, ample, alone = rows[kept], (last - first)[kept], ample[kept], alone[kept]
    same = np.append(bars.steps == 0, False) | np.append(False, bars.steps == 0)
    bits = np.where(ample, np.minimum(count, _MOST) + _ALONE * alone, _BY_PRICES)
    bits += _SAME_STAMP * same[rows] + _EXACT * (exact & (count >= _FEW))
    times = _times_of_day(bars.keys)
    names, which, covering = np.unique(times[rows], return_inverse=True, return_counts=True)
    others = np.flatnonzero(np.isin(times, names))
    first, last = window(others, _WITHIN)
    asked = _times_of_day(np.unique(bars.keys[others[last > first]]))
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


def _days_at_midnight(bars: _Bars) -> Numbers:
    """Bars at midnight UTC with an hour without any other before and after: some such days, or one that covers its minutes."""
    widths = np.zeros(len(bars.keys), dtype=np.int64)
    far = bars.steps >= _HOUR
    rows = np.flatnonzero(np.append(True, far) & np.append(far, True) & bars.moved)
    rows = rows[(bars.keys[rows] & _TIME) % _DAY == 0]
    if not len(rows):
        return widths
    first, last = bars.after(rows, _WITHIN)
    count, bits = last - first, np.full(len(rows), log2(_DAY))
    some = np.flatnonzero(count)
    if len(some):
        inside, exact = bars.covered(rows[some], first[some], last[some])
        bits[some] += np.minimum(count[some], _MOST) + _EXACT * (exact & (count[some] >= _FEW))
        bits[some[~inside]] = 0
    symbols = bars.keys >> _TIME_BITS
    at_midnight = np.bincount(symbols[(bars.keys & _TIME) % _DAY == 0], minlength=symbols[-1] + 1)
    of_row = symbols[rows]
    agreed = np.bincount(of_row, bits > 0, len(at_midnight)) >= _AGREEING * at_midnight
    sure = agreed & (np.bincount(of_row, bits, len(at_midnight)) >= CERTAIN)
    widths[rows[sure[of_row]]] = _DAY
    return widths


def _days_on_grids(bars: _Bars) -> Numbers:
    """Bars of UTC days whose bars all lie on one grid: at least two such days, and only bars that moved are evidence."""
    widths = np.zeros(len(bars.keys), dtype=np.int64)
    minute = (bars.keys & _TIME) % _DAY
    starts = np.flatnonzero(np.append(True, np.diff(bars.keys - minute) != 0))
    steps = np.append(0, bars.steps)
    steps[starts] = 0
    steps = np.gcd.reduceat(steps, starts)
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
        first, last = bars.after(chosen, int(width))
        count = last - first
        wide = bars.ample(chosen, first, last) & bars.moved[chosen] & (count >= least) & (count > seen[chosen])
        if wide.any():
            inside, exact = bars.covered(chosen[wide], first[wide], last[wide])
            rows, exact, count = chosen[wide][inside], exact[inside], count[wide][inside]
            widths[rows], seen[rows] = width, count
            bits[rows] = np.minimum(count, _MOST) + _EXACT * (exact & (count >= _FEW))
    return widths, bits


def _both(bars: _Bars, days: Numbers, within: Numbers) -> Numbers:
    """The widths of bars that may be a day or less; only one bar per day can be a daily one."""
    if not days.any() or not within.any():
        return np.maximum(days, within)
    wide = np.flatnonzero((days > 0) | (within > 0))
    near = np.diff(bars.keys[wide]) < _WITHIN
    one_of_several = np.zeros(len(days), dtype=bool)
    one_of_several[wide] = np.append(near, False) | np.append(False, near)
    return np.where((within > 0) & one_of_several, within, np.maximum(days, within * (days == 0)))
