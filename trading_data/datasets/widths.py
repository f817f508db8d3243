"""The width of bars, recognised by their timestamps: daily and hourly bars must not be archived as minutes and added up.

A symbol's bars are W wide if all its timestamps lie on one grid of W, and the chance that minutes do so by accident is below
2**-40. Only bars that moved (high above low) count as evidence: an illiquid symbol trades at auctions and fixings, at the same
minutes every day, and such a minute has one price. Daily bars at midnight UTC count too, moved or not.

Belongs here: this rule. Does not: wide bars among minutes (`mixed`), reading files (`trading_data.sources.files.bars`).
"""

from datetime import timedelta
from math import log2
from typing import Any

import numpy as np
import pyarrow as pa

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

DAY, WEEK = timedelta(days=1), timedelta(days=7)
GRIDS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720))
"""Widths below a day that vendors sell; bars of 2 or 3 minutes cannot be told from sparse minutes."""
CERTAIN = 40.0
"""Bits of evidence for a verdict."""
_US = timedelta(microseconds=1)
_DAY_US, _HOUR_US, _HALF_US = DAY // _US, timedelta(hours=1) // _US, timedelta(hours=12) // _US
_MINUTE_US = timedelta(minutes=1) // _US
_APART = timedelta(days=5) // _US
"""Least distance of weekly bars; daily bars have at most a weekend and one or two holidays between them."""


class BarWidths:
    """Statistics of each symbol's timestamps, added block by block; their size does not grow with the number of bars."""

    def __init__(self) -> None:
        """No bars were added yet."""
        self._symbols: dict[str, int] = {}
        none = np.zeros(0, dtype=np.int64)
        self._first, self._step, self._rows, self._days, self._evidence = none, none, none, none, none
        self._low, self._high, self._apart, self._at_midnight = none, none, none, none

    def add(self, symbols: pa.Array, times: Numbers, moved: Mask) -> None:
        """Add a block of bars.

        Args:
            symbols: text, none missing.
            times: starts of the bars, microseconds since 1970 UTC.
            moved: whether each bar's high is above its low.
        """
        if not len(times):
            return
        named = symbols.dictionary_encode()
        numbers = [self._symbols.setdefault(name, len(self._symbols)) for name in named.dictionary.to_pylist()]
        known = len(self._first)
        self._grow()
        of_row = np.array(numbers, dtype=np.int64)[named.indices.to_numpy()]
        symbol_steps = np.diff(of_row)
        if not np.all((symbol_steps > 0) | ((symbol_steps == 0) & (np.diff(times) >= 0))):
            order = np.lexsort((times, of_row))
            of_row, times, moved = of_row[order], times[order], moved[order]
        steps = np.diff(times)
        a_minute = np.bincount(of_row[1:], (steps == _MINUTE_US) & (np.diff(of_row) == 0), len(self._symbols)) > 0
        # Two bars a minute apart settle it: no grid fits, and there are more bars than days.
        self._step[a_minute] = np.gcd(self._step[a_minute], _MINUTE_US)
        self._rows[a_minute] += 2
        self._days[a_minute] += 1
        rest = ~a_minute[of_row]
        rest[1:] &= (np.diff(of_row) != 0) | (steps != 0)
        if not rest.any():
            return
        of_row, times, moved = of_row[rest], times[rest], moved[rest]
        starts = np.flatnonzero(np.append(True, of_row[1:] != of_row[:-1]))
        at = of_row[starts]
        new = at >= known
        self._first[at[new]] = times[starts[new]]
        since = times - self._first[of_row]
        # Shifted by twelve hours, so that an hour earlier or later (summer time) is on the same day.
        clock, day = (since + _HALF_US) % _DAY_US, (since + _HALF_US) // _DAY_US
        gaps = np.diff(times, append=times[-1:])
        gaps[np.append(starts[1:], len(times)) - 1] = np.iinfo(np.int64).max
        another = np.append(True, day[1:] != day[:-1])
        another[starts] = True
        self._step[at] = np.gcd(self._step[at], np.gcd.reduceat(np.abs(since), starts))
        self._rows[at] += np.add.reduceat(np.ones(len(times), dtype=np.int64), starts)
        self._days[at] += np.add.reduceat(another.astype(np.int64), starts)
        self._evidence[at] += np.add.reduceat(moved.astype(np.int64), starts)
        self._at_midnight[at] += np.add.reduceat((times % _DAY_US == 0).astype(np.int64), starts)
        self._low[at] = np.minimum(self._low[at], np.minimum.reduceat(clock, starts))
        self._high[at] = np.maximum(self._high[at], np.maximum.reduceat(clock, starts))
        self._apart[at] = np.minimum(self._apart[at], np.minimum.reduceat(gaps, starts))

    def found(self) -> dict[str, timedelta]:
        """Symbols whose bars are wider than a minute, with the width: 5 minutes to 12 hours, a day, or a week and more.

        Symbols with too few bars for a verdict count together, if each of them has a width.
        """
        names = list(self._symbols)
        judged = [self._judge(at) for at in range(len(names))]
        of_several = [verdict for verdict, rows in zip(judged, self._rows.tolist(), strict=True) if rows > 1]
        together = all(width is not None for width, _ in of_several) and sum(bits for _, bits in of_several) >= CERTAIN
        return {
            name: width
            for name, (width, bits) in zip(names, judged, strict=True)
            if width is not None and (bits >= CERTAIN or together)
        }

    def several_a_day(self) -> list[str]:
        """Symbols with more bars than days."""
        return [name for name, at in self._symbols.items() if self._rows[at] > self._days[at]]

    def _judge(self, at: int) -> tuple[timedelta | None, float]:
        """The likely width of a symbol's bars, and the bits of evidence for it."""
        rows, step = int(self._rows[at]), int(self._step[at])
        if rows < 2:
            return None, 0.0
        hour = self._high[at] - self._low[at] in (0, _HOUR_US) and step % _HOUR_US == 0
        if hour and self._days[at] == rows:
            midnights = int(self._at_midnight[at])
            evidence = rows if midnights == rows else int(self._evidence[at])
            return WEEK if self._apart[at] >= _APART else DAY, (evidence - 1) * log2(720)
        for grid in reversed(GRIDS):
            if step % (grid // _US) == 0:
                return grid, (int(self._evidence[at]) - 1) * log2(grid // timedelta(minutes=1))
        return None, 0.0

    def _grow(self) -> None:
        more = len(self._symbols) - len(self._first)
        none, most = np.zeros(more, dtype=np.int64), np.full(more, np.iinfo(np.int64).max)
        for name in ("_first", "_step", "_rows", "_days", "_evidence", "_at_midnight", "_high"):
            setattr(self, name, np.concatenate([getattr(self, name), none]))
        self._low, self._apart = np.concatenate([self._low, most]), np.concatenate([self._apart, most])


def width_text(width: timedelta) -> str:
    """The name of a width: `5-minute`, `1-hour`, `daily`, `weekly or longer`."""
    if width >= DAY:
        return "daily" if width < WEEK else "weekly or longer"
    minutes = width // timedelta(minutes=1)
    return f"{minutes // 60}-hour" if minutes % 60 == 0 else f"{minutes}-minute"
