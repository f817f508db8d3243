"""Open stretches of a market as two sorted arrays, and the arithmetic on them, whole arrays at once.

All times are microseconds since 1970 UTC (int64), all ranges half-open. Belongs here: this arithmetic. Does not: where
stretches come from (`calendar`), and zones and types of times (`moments`).
"""

from dataclasses import dataclass

import numpy as np

from trading_data.calendars.moments import Mask, Micros

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Parts:
    """Parts of ranges: `of` is the position of the range that each is a part of, `open` whether the market is open in it."""

    of: Micros
    start: Micros
    end: Micros
    open: Mask


class Stretches:
    """Stretches [opens[i], closes[i]) in which a market is open: sorted, and none touches the next."""

    def __init__(self, opens: Micros, closes: Micros) -> None:
        """Take stretches in any order; those that touch or overlap become one, empty ones go."""
        order = np.lexsort((closes, opens))
        opens, closes = opens[order], closes[order]
        opens, closes = opens[closes > opens], closes[closes > opens]
        reach = np.maximum.accumulate(closes)
        begins = np.ones(len(opens), dtype=bool)
        begins[1:] = opens[1:] > reach[:-1]
        ends = np.append(begins[1:], True)[: len(opens)]
        self.opens, self.closes = opens[begins], reach[ends]

    def holds(self, times: Micros) -> Mask:
        """Which of `times` lie in a stretch."""
        if not len(self.opens):
            return np.zeros(len(times), dtype=bool)
        at = np.searchsorted(self.opens, times, side="right") - 1
        inside: Mask = (at >= 0) & (times < self.closes[at])
        return inside

    def within(self, start: int, end: int) -> tuple[Micros, Micros]:
        """The stretches, or what of them lies in [start, end)."""
        low, high = np.searchsorted(self.closes, start, side="right"), np.searchsorted(self.opens, end, side="left")
        if low >= high:
            return self.opens[:0], self.opens[:0]
        return np.maximum(self.opens[low:high], start), np.minimum(self.closes[low:high], end)

    def split(self, starts: Micros, ends: Micros) -> Parts:
        """The ranges [starts[i], ends[i]), none of them empty, cut where the market opens and closes; in order."""
        low = np.searchsorted(self.closes, starts, side="right")
        high = np.maximum(np.searchsorted(self.opens, ends, side="left"), low)
        of, number = _expand(high - low)
        stretch = low[of] + number
        opens, closes = np.maximum(self.opens[stretch], starts[of]), np.minimum(self.closes[stretch], ends[of])
        # Before each open part a closed one, and one after the last: the parts of a range are n open and n + 1 closed ones.
        before = np.repeat(starts, high - low)
        before[number > 0] = closes[np.flatnonzero(number > 0) - 1]
        after = starts.copy()
        last = np.cumsum(high - low)[high > low] - 1
        after[high > low] = closes[last]
        every = np.arange(len(starts), dtype=np.int64)
        parts_of = np.concatenate([of, of, every])
        part_starts = np.concatenate([opens, before, after])
        part_ends = np.concatenate([closes, opens, ends])
        is_open = np.concatenate([np.ones(len(of), dtype=bool), np.zeros(len(of) + len(starts), dtype=bool)])
        order = np.lexsort((part_starts, parts_of))
        order = order[(part_ends > part_starts)[order]]
        return Parts(parts_of[order], part_starts[order], part_ends[order], is_open[order])

    def buckets(self, start: int, end: int, width: int) -> Micros:
        """Starts of the buckets of `width` (aligned to midnight UTC) that begin in [start, end) and are partly open."""
        opens, closes = self.within(start // width * width, -(-end // width) * width)
        first, last = opens // width, -(-closes // width)
        of, number = _expand(last - first)
        found: Micros = np.unique(first[of] + number) * width
        return found[(found >= start) & (found < end)]

    def by_day(self, start: int, end: int) -> tuple[Micros, Micros, Micros]:
        """For each UTC day of [start, end), which are midnights: open microseconds, first opening, last closing.

        Days without an opening have 0, and an opening and a closing that mean nothing.
        """
        days = (end - start) // DAY_US
        opens, closes = self.within(start, end)
        first, last = (opens - start) // DAY_US, -(-(closes - start) // DAY_US)
        of, number = _expand(last - first)
        day = first[of] + number
        low = np.maximum(opens[of], start + day * DAY_US)
        high = np.minimum(closes[of], start + (day + 1) * DAY_US)
        total, opening, closing = (np.zeros(days, dtype=np.int64) for _ in range(3))
        np.add.at(total, day, high - low)
        opening[day[::-1]] = low[::-1]
        closing[day] = high
        return total, opening, closing


def _expand(counts: Micros) -> tuple[Micros, Micros]:
    """For counts [2, 0, 1]: which one each belongs to [0, 0, 2], and its number there [0, 1, 0]."""
    of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    number = np.arange(len(of), dtype=np.int64) - (np.cumsum(counts) - counts)[of]
    return of, number
