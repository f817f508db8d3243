"""Stamps that are no starts of minutes: ticks, bars of seconds, and bars that are stamped at their end.

Belongs here: telling them apart. Does not: how wide bars are (`datasets.widths`, `datasets.mixed`).
"""

from enum import IntEnum

import numpy as np

from trading_data.datasets.widths import Mask, Numbers

_SECOND_US, _MINUTE_US = 1_000_000, 60_000_000
_END = 59 * _SECOND_US
_FEW = 5
"""Bars off the minute that are no accident, of a symbol whose bars are mostly so."""


class Stamp(IntEnum):
    """What the stamp of a bar says of it."""

    MINUTE = 0
    TICK = 1
    """One of several within a minute: a tick, or a bar of seconds."""
    END = 2
    """Always in the last second of a minute: the end of a bar."""
    WITHIN = 3
    """Somewhere within a minute."""


def stamps(symbols: Numbers, times: Numbers) -> Numbers:
    """A `Stamp` for each bar.

    A single bar off the minute is one all the same: what is odd takes more than one, or a minute with another bar.

    Args:
        symbols: number of each bar's symbol, from 0.
        times: microseconds since 1970 UTC.
    """
    found = np.zeros(len(times), dtype=np.int64)
    off: Mask = times % _MINUTE_US != 0
    if not off.any():
        return found
    rows, odd = np.bincount(symbols), np.bincount(symbols, off)
    mostly = odd > rows / 2
    crowded = _crowded(symbols, times)
    at_end = (np.bincount(symbols, off & (times % _MINUTE_US < _END)) == 0) & (odd > 1)
    ticks = mostly & (np.bincount(symbols, crowded) > 0)
    found[off & (crowded | (mostly & (odd >= _FEW))[symbols])] = Stamp.WITHIN
    found[off & (mostly & at_end)[symbols]] = Stamp.END
    found[ticks[symbols]] = Stamp.TICK
    return found


def _crowded(symbols: Numbers, times: Numbers) -> Mask:
    """Which bars share a minute with another stamp of their symbol."""
    order = np.lexsort((times, symbols))
    same = (np.diff(symbols[order]) == 0) & (np.diff(times[order] // _MINUTE_US) == 0)
    other = np.diff(times[order]) != 0
    # Bars of one minute are a run; a run is crowded if there is a second stamp in it.
    run = np.append(0, np.cumsum(~same))
    several = np.zeros(run[-1] + 1, dtype=bool)
    several[run[1:][same & other]] = True
    crowded = np.zeros(len(times), dtype=bool)
    crowded[order] = several[run]
    return crowded
