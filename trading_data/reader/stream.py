"""An answer larger than memory, in windows of time: one after the other, each read from the tiers as they stand then.

The windows are disjoint, so a row that moves from one tier to the other between two of them is in the one that holds its
time, once.

Belongs here: which windows. Does not: what is in one (`rows`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.errors import BadInput
from trading_data.reader.archive_queries import Range, moment_after, occupied
from trading_data.reader.frames import by_time, empty
from trading_data.reader.query import Query
from trading_data.reader.rows import look_for
from trading_data.reader.tiers import Missing, TierReader, TierSnapshot
from trading_data.times import floor

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Windows:
    """How a stream is cut: at whole multiples of `width` after midnight UTC, and further so that a window has at most
    `most` rows; rows of one moment stay together.
    """

    width: timedelta
    most: int | None = None

    def __post_init__(self) -> None:
        """Raises BadInput for widths and numbers of which no windows can be made."""
        if self.width <= timedelta(0):
            raise BadInput(f"chunk must be longer than nothing, not {self.width}")
        if self.most is not None and self.most < 1:
            raise BadInput(f"rows must be at least 1, not {self.most}")


class _Step(NamedTuple):
    upto: datetime
    table: pa.Table


def stream(view: TierReader, windows: Windows) -> Iterator[tuple[pa.Table, Missing]]:
    """The parts of the answer in the order of time, and what is missing from each; empty ones are left out.

    There is at least one, and a last empty one if something was missing that no part before it said.
    """
    question = view.question
    where = _Occupied(question)
    at, sent = question.start, False
    said: set[str] = set()
    unsaid: dict[str, None] = {}
    while at < question.end:
        step, missing = view.look(lambda sight, at=at: _step(question, windows, where, sight, at))  # type: ignore[misc]
        if step.table.num_rows:
            for part in by_time(question.dataset, question.aggregate, step.table, windows.most):
                yield part, missing
            sent, said = True, said | set(missing)
        unsaid |= dict.fromkeys(missing)
        at = step.upto
    left = tuple(text for text in unsaid if text not in said)
    if left or not sent:
        yield empty(question.dataset, question.aggregate), left


def _step(question: Query, windows: Windows, where: "_Occupied", sight: TierSnapshot, at: datetime) -> _Step:
    begin = where.next(sight, at)
    if begin is None or begin >= question.end:
        return _Step(question.end, empty(question.dataset, question.aggregate))
    upto = min(floor(begin, windows.width) + windows.width, question.end)
    if windows.most is not None and sight.cursor is not None:
        upto = _cut(question, sight.cursor, (begin, upto), windows.most)
    return _Step(upto, look_for(question, sight, (begin, upto)))


def _cut(question: Query, cursor: Cursor, range_: Range, most: int) -> datetime:
    """Where to end a window so that the archive has at most `most` rows in it, or those of one moment."""
    aggregate = None if question.from_rows else question.aggregate
    found = moment_after(cursor, question.dataset, aggregate, question.about, question.rows_of(range_), most)
    if found is None:
        return range_[1]
    first, after = found
    return min(max(after, first + _MICROSECOND), range_[1])


class _Occupied:
    """Where there may be rows: the archive's chunks, asked for again whenever a batch has been loaded, and what waits."""

    def __init__(self, question: Query) -> None:
        self._question = question
        self._chunks: list[Range] = []
        self._asked_at: int | None = None

    def next(self, sight: TierSnapshot, at: datetime) -> datetime | None:
        """The first moment at or after `at` from which on there may be any; None if there are none."""
        found = [low for low in (self._archived(sight, at), self._waiting(sight, at)) if low is not None]
        return max(min(found), at) if found else None

    def _archived(self, sight: TierSnapshot, at: datetime) -> datetime | None:
        if sight.cursor is None or sight.books is None:
            return None
        question = self._question
        if self._asked_at != sight.books.newest_batch:
            aggregate = None if question.from_rows else question.aggregate
            self._chunks = occupied(sight.cursor, question.dataset, aggregate, (at, question.end))
            self._asked_at = sight.books.newest_batch
        return next((low for low, high in self._chunks if high > at), None)

    def _waiting(self, sight: TierSnapshot, at: datetime) -> datetime | None:
        moment = sight.waiting.next_moment(at)
        width = self._question.width
        return moment if moment is None or width is None else floor(moment, width)
