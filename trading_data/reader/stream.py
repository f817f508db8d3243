"""An answer larger than memory, in windows of time: one after the other, each read from the tiers as they stand then.

The windows are disjoint. So a row that moves from one tier to another between two of them appears once, in the window that
contains its time.

Belongs here: which windows. Does not: what a window contains (`rows`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.declaration import Aggregate
from trading_data.errors import BadInput
from trading_data.reader.archive_queries import moment_after, occupied
from trading_data.reader.frames import by_time, empty, in_order
from trading_data.reader.query import Missing, Query, Range
from trading_data.reader.rows import (
    NOTE,
    Part,
    answer_for,
    daily_buckets,
    daily_query,
    read_span,
    with_daily_bars,
)
from trading_data.reader.tiers import TierReader, Tiers, TierSnapshot
from trading_data.times import floor

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Windows:
    """How a stream is cut: at multiples of `width` after midnight UTC, and further so that a window has at most `most` rows.

    Rows of one moment stay together.
    """

    width: timedelta
    most: int | None = None

    def __post_init__(self) -> None:
        """Raises BadInput for widths and numbers of which no windows can be made."""
        if self.width <= timedelta(0):
            raise BadInput(f"chunk must be longer than nothing, not {self.width}")
        if self.most is not None and self.most < 1:
            raise BadInput(f"rows must be at least 1, not {self.most}")


def read_parts(tiers: Tiers, query: Query, windows: Windows) -> Iterator[Part]:
    """The answer in windows of time, as `MarketData.stream` returns it; daily history stands in for days without minutes."""
    daily, aggregate = daily_query(query), query.aggregate
    parts = _stream(tiers, query, windows)
    if daily is None or aggregate is None:
        yield from ((table, missing, ()) for table, missing in parts)
        return
    wide = Windows(max(windows.width, daily.dataset.chunk), windows.most)
    position, sent = query.start, False
    missing: Missing = ()
    for table, missing in parts:
        if not table.num_rows:
            continue
        first, last = (bound.as_py() for bound in (pc.min(table["bucket"]), pc.max(table["bucket"])))
        for part in _daily_alone(tiers, daily, aggregate, (position, first), wide):
            sent = True
            yield part
        position = last + _MICROSECOND
        bars = read_span(tiers, daily, (first, position))
        days, missing_from_days, notes = with_daily_bars(aggregate, table, missing, bars)
        for piece in by_time(query.dataset, aggregate, days, windows.most):
            sent = True
            yield piece, missing_from_days, notes
    for part in _daily_alone(tiers, daily, aggregate, (position, query.end), wide):
        sent = True
        yield part
    if not sent:
        yield empty(query.dataset, aggregate), missing, ()


def _daily_alone(tiers: Tiers, daily: Query, aggregate: Aggregate, span: Range, windows: Windows) -> Iterator[Part]:
    """Daily history of days of which no symbol has minutes."""
    if span[0] >= span[1]:
        return
    for table, missing in _stream(tiers, replace(daily, start=span[0], end=span[1]), windows):
        if table.num_rows:
            yield in_order(aggregate, [daily_buckets(aggregate, table)]), missing, (NOTE,)


def _stream(tiers: Tiers, query: Query, windows: Windows) -> Iterator[tuple[pa.Table, Missing]]:
    """The parts of the answer in the order of time, and what each lacks; empty parts are left out.

    There is at least one part. A last empty one carries what is missing where no earlier part did.
    """
    reader, occupancy = TierReader(tiers, query), _Occupancy(query)
    start, sent = query.start, False
    reported: set[str] = set()
    unreported: dict[str, None] = {}
    while start < query.end:
        (start, table), missing = reader.read(
            lambda snapshot, start=start: _window(query, windows, occupancy, snapshot, start)  # type: ignore[misc]
        )
        if table.num_rows:
            for part in by_time(query.dataset, query.aggregate, table, windows.most):
                yield part, missing
            sent, reported = True, reported | set(missing)
        unreported |= dict.fromkeys(missing)
    left = tuple(text for text in unreported if text not in reported)
    if left or not sent:
        yield empty(query.dataset, query.aggregate), left


def _window(
    query: Query, windows: Windows, occupancy: "_Occupancy", snapshot: TierSnapshot, start: datetime
) -> tuple[datetime, pa.Table]:
    """The end of the first window from `start` on that may have rows, and its rows."""
    begin = occupancy.next(snapshot, start)
    if begin is None or begin >= query.end:
        return query.end, empty(query.dataset, query.aggregate)
    end = min(floor(begin, windows.width) + windows.width, query.end)
    if windows.most is not None and snapshot.cursor is not None:
        # At most so many rows of the archive, or those of one moment.
        moments = moment_after(snapshot.cursor, query, query.rows_of((begin, end)), windows.most)
        if moments is not None:
            first, after = moments
            end = min(max(after, first + _MICROSECOND), end)
    return end, answer_for(query, snapshot, (begin, end))


class _Occupancy:
    """Where there may be rows: in the archive's chunks, read again whenever a batch was loaded, and in what is pending."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._chunks: list[Range] = []
        self._newest_batch: int | None = None

    def next(self, snapshot: TierSnapshot, start: datetime) -> datetime | None:
        """The first moment at or after `start` from which on there may be rows; None if there are none."""
        moments = (self._archived(snapshot, start), self._pending(snapshot, start))
        lows = [low for low in moments if low is not None]
        return max(min(lows), start) if lows else None

    def _archived(self, snapshot: TierSnapshot, start: datetime) -> datetime | None:
        if snapshot.cursor is None or snapshot.ledger is None:
            return None
        if self._newest_batch != snapshot.ledger.newest_batch:
            self._chunks = occupied(snapshot.cursor, self._query, (start, self._query.end))
            self._newest_batch = snapshot.ledger.newest_batch
        return next((low for low, high in self._chunks if high > start), None)

    def _pending(self, snapshot: TierSnapshot, start: datetime) -> datetime | None:
        moment, width = snapshot.batches.next_moment(start), self._query.width
        return moment if moment is None or width is None else floor(moment, width)
