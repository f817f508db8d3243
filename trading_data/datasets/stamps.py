"""Classifies timestamps that are not starts of minutes: ticks, bars of seconds, and bars stamped at their end.

Belongs here: this rule. Does not: the width of bars (`datasets.widths`, `datasets.mixed`).
"""

from enum import IntEnum

import numpy as np

from trading_data.datasets.widths import Mask, Numbers

_SECOND_US, _MINUTE_US = 1_000_000, 60_000_000
_END = 59 * _SECOND_US
_FEW = 5
"""Bars off the minute that make them the rule, for a symbol most of whose bars are so."""


class Stamp(IntEnum):
    """The meaning of a bar's timestamp."""

    MINUTE = 0
    TICK = 1
    """One of several within a minute: a tick, or a bar of seconds."""
    END = 2
    """All of the symbol's bars are in the last second of a minute: the end of a bar."""
    WITHIN = 3
    """Somewhere within a minute."""


def stamps(symbols: Numbers, times: Numbers) -> Numbers:
    """A `Stamp` for each bar.

    A single bar off the minute counts as a minute: only several of them, or another bar in the same minute, make it odd.

    Args:
        symbols: the number of each bar's symbol, from 0.
        times: microseconds since 1970 UTC.
    """
    stamp = np.zeros(len(times), dtype=np.int64)
    off: Mask = times % _MINUTE_US != 0
    if not off.any():
        return stamp
    rows, odd = np.bincount(symbols), np.bincount(symbols, off)
    mostly = odd > rows / 2
    crowded = _crowded(symbols, times)
    at_end = (np.bincount(symbols, off & (times % _MINUTE_US < _END)) == 0) & (odd > 1)
    ticks = mostly & (np.bincount(symbols, crowded) > 0)
    stamp[off & (crowded | (mostly & (odd >= _FEW))[symbols])] = Stamp.WITHIN
    stamp[off & (mostly & at_end)[symbols]] = Stamp.END
    stamp[ticks[symbols]] = Stamp.TICK
    return stamp


def _crowded(symbols: Numbers, times: Numbers) -> Mask:
    """Which bars share a minute with another timestamp of their symbol."""
    order = np.lexsort((times, symbols))
    same = (np.diff(symbols[order]) == 0) & (np.diff(times[order] // _MINUTE_US) == 0)
    other = np.diff(times[order]) != 0
    # The bars of one minute are a run; a run with a second timestamp is crowded.
    run = np.append(0, np.cumsum(~same))
    several = np.zeros(run[-1] + 1, dtype=bool)
    several[run[1:][same & other]] = True
    crowded = np.zeros(len(times), dtype=bool)
    crowded[order] = several[run]
    return crowded
