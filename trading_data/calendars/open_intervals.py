"""Open stretches of a market as two sorted arrays, and the arithmetic on them, whole arrays at once.

All times are microseconds since 1970 UTC (int64), all ranges half-open. Belongs here: this arithmetic, and types
of times. Does not: sessions (`calendar`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from trading_data.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Micros = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Times: TypeAlias = "np.ndarray[Any, Any] | pd.Series | pd.DatetimeIndex | Any"
"""`Any` stands for pyarrow's arrays, whose library has no types."""

MICROSECOND = timedelta(microseconds=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FACTORS = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
_MISSING = "a time is missing (null or NaT): leave it out, because it is neither inside nor outside a session"


def micros_of(times: Times) -> Micros:
    """Any array of times as microseconds since 1970, rounded down.

    Raises:
        BadInput: the times are of another type or without a zone (numpy's have none, and are UTC), or one is missing.
    """
    import pandas as pd

    if isinstance(times, pa.Array | pa.ChunkedArray):
        if not pa.types.is_timestamp(times.type) or times.type.tz is None:
            raise BadInput(f"times must be timestamps with a zone, such as timestamp[us, tz=UTC], not {times.type}")
        if times.null_count:
            raise BadInput(_MISSING)
        multiple, per = _FACTORS[times.type.unit]
        micros: Micros = np.asarray(times.cast(pa.int64()))
        return micros * multiple // per
    if isinstance(times, pd.Series | pd.DatetimeIndex):
        if not isinstance(times.dtype, pd.DatetimeTZDtype):
            raise BadInput(f"times must be datetime64 with a zone, such as datetime64[us, UTC], not {times.dtype}")
        times = pd.DatetimeIndex(times).tz_convert(UTC).tz_localize(None).to_numpy()
    if not isinstance(times, np.ndarray) or times.dtype.kind != "M":
        raise BadInput(f"times must be an array of timestamps, not {getattr(times, 'dtype', type(times).__name__)}")
    if np.isnat(times).any():
        raise BadInput(_MISSING)
    return times.astype("datetime64[us]").astype(np.int64)


def index_of(micros: Micros) -> "pd.DatetimeIndex":
    """Microseconds as datetime64[us, UTC]."""
    import pandas as pd

    return pd.DatetimeIndex(micros.astype("datetime64[us]")).tz_localize(UTC)


def dates_of(micros: Micros) -> "pd.Series":
    """The UTC days of microseconds, as `datetime.date`."""
    import pandas as pd

    return pd.Series(micros.astype("datetime64[us]").astype("datetime64[D]").tolist(), dtype=object)


def of_moment(moment: datetime) -> int:
    """An aware moment as microseconds."""
    return (moment - _EPOCH) // MICROSECOND


def moment_of(micros: int) -> datetime:
    """Microseconds as an aware moment, UTC."""
    return _EPOCH + micros * MICROSECOND


def as_text(micros: int) -> str:
    """Microseconds as text, for error messages."""
    return f"{moment_of(micros):%Y-%m-%dT%H:%M:%SZ}"


MINUTE_US = 60_000_000
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Parts:
    """Parts of ranges: `of` is the position of each part's range, `open` whether the market is open in the part."""

    of: Micros
    start: Micros
    end: Micros
    open: Mask


class Stretches:
    """Stretches [opens[i], closes[i]) in which a market is open: sorted, and none touches the next."""

    def __init__(self, opens: Micros, closes: Micros) -> None:
        """Stretches may come in any order; those that touch or overlap are merged, empty ones removed."""
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
        """The stretches cut to [start, end)."""
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
        buckets: Micros = np.unique(first[of] + number) * width
        return buckets[(buckets >= start) & (buckets < end)]

    def by_day(self, start: int, end: int) -> tuple[Micros, Micros, Micros]:
        """For each UTC day of [start, end), which are midnights: open microseconds, first opening, last closing.

        Days without an opening have 0; their opening and closing are undefined.
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
    """For counts [2, 0, 1] the positions [0, 0, 2], each repeated by its count, and numbers within each [0, 1, 0]."""
    of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    number = np.arange(len(of), dtype=np.int64) - (np.cumsum(counts) - counts)[of]
    return of, number
