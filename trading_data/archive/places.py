"""Where rows of one subject and one moment are kept: the first at it, each other one at the next free microsecond.

The table's key is subject and time, and an exchange reports several fills of an order in one millisecond. A row stays within the
minute that was reported, so that its day, its coverage and its bucket in every aggregate are those of the moment that was reported;
at the end of the minute it goes back instead of on.

Belongs here: choosing moments, as a pure function. Does not: which rows there are (`archive.plan`), or were (`archive.known`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.sql import statement
from trading_data.archive.versions import DAY_US, Indices, Mask
from trading_data.datasets.declaration import Dataset

Hashes = np.ndarray[Any, np.dtype[np.uint32]]
Span = tuple[datetime, datetime]
"""First and last moment, both inclusive, aware UTC."""

_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_UP_BITS = 22


@dataclass(frozen=True)
class _Kept:
    number: int
    day: int
    hashes: Hashes


class SubjectDays:
    """Where the archive may hold rows of some subjects, as a transaction sees it."""

    def __init__(self, cursor: Cursor, dataset: Dataset, subjects: Sequence[str]) -> None:
        """Read what is kept; `subjects` are distinct."""
        self._cursor, self._dataset = cursor, dataset
        self._hashes = hashes_of(subjects)
        self._sorted = np.sort(self._hashes)
        cursor.execute(statement("subject_hashes"), {"dataset": dataset.name})
        self._kept = [
            _Kept(number, (day - _EPOCH_DAY).days, np.frombuffer(data, "<u4"))
            for number, day, data in cursor.fetchall()
        ]
        days, self.known = set[int](), np.zeros(len(subjects), dtype=bool)
        for one, found in self._found():
            days.add(one.day)
            self.known |= _among(self._hashes, np.sort(found))
        self.spans = list(_spans(days))

    def keep(self, subjects: Indices, days: Indices) -> None:
        """Keep that there are rows of subjects (by position) on days since 1970, pair by pair."""
        merged: list[int] = []
        grown: dict[int, Hashes] = {}
        for day in _distinct(days).tolist():
            new = _distinct(self._hashes[subjects[days == day]])
            parts = sorted((one for one in self._kept if one.day == day), key=lambda one: len(one.hashes))
            if parts:
                new = new[~_among(new, np.sort(np.concatenate([part.hashes for part in parts])))]
            if not len(new):
                continue
            for part in parts:  # each twice as long as the one before it, so that there are few
                if len(part.hashes) < 2 * len(new):
                    new = np.concatenate([part.hashes, new])
                    merged.append(part.number)
            grown[day] = new
        if grown:
            values = {
                "dataset": self._dataset.name,
                "merged": merged,
                "days": [_EPOCH_DAY + timedelta(days=day) for day in grown],
                "hashes": [psycopg2.Binary(one.astype("<u4").tobytes()) for one in grown.values()],
            }
            self._cursor.execute(statement("keep_subject_hashes"), values)

    def _found(self) -> Iterator[tuple[_Kept, Hashes]]:
        """Of what is kept that which may be of the subjects, by the last bits first: most of it is of others."""
        mask = np.uint32((1 << _LOOK_UP_BITS) - 1)
        ours = np.zeros(1 << _LOOK_UP_BITS, dtype=bool)
        ours[self._hashes & mask] = True
        for one in self._kept:
            alike = one.hashes[ours[one.hashes & mask]]
            alike = alike[_among(alike, self._sorted)]
            if len(alike):
                yield one, alike


def hashes_of(subjects: Sequence[str]) -> Hashes:
    """Four bytes of each subject, as the migration that made the table computes them too."""
    sha256 = hashlib.sha256
    return np.frombuffer(b"".join([sha256(subject.encode()).digest()[:4] for subject in subjects]), "<u4")


def _spans(days: set[int]) -> Iterator[Span]:
    """Days since 1970 as spans of days that follow one another."""
    found = np.sort(np.fromiter(days, dtype=np.int64))
    for part in np.split(found, np.flatnonzero(np.diff(found) > 1) + 1):
        if len(part):
            first, last = _EPOCH + timedelta(days=int(part[0])), _EPOCH + timedelta(days=int(part[-1]) + 1)
            yield first, last - timedelta(microseconds=1)


def pairs_of(subjects: Indices, times: Indices) -> tuple[Indices, Indices]:
    """The distinct pairs of subject (a position) and day since 1970 of some rows."""
    days = times // DAY_US
    low = int(days.min())
    width = int(days.max()) - low + 1
    pairs = _distinct(subjects.astype(np.int64) * width + (days - low))
    return pairs // width, pairs % width + low


def _distinct(values: Any) -> Any:
    """The distinct values, sorted; quicker than `np.unique`, which hashes them first."""
    found = np.sort(values)
    return found[np.append(True, found[1:] != found[:-1])] if len(found) else found


def _among(values: Hashes, hashes: Hashes) -> Mask:
    """Which values are among some that are sorted."""
    if not len(values) or not len(hashes):
        return np.zeros(len(values), dtype=bool)
    there: Mask = hashes[np.minimum(np.searchsorted(hashes, values), len(hashes) - 1)] == values
    return there


MINUTE_US = 60_000_000


def displaced(subjects: Indices, times: Indices, taken: Mapping[int, Set[int]]) -> dict[int, int]:
    """Which of some rows cannot have the moment that they report, and the moments that they get instead.

    Args:
        subjects: of each row, as a number.
        times: the moment that each reports, in microseconds since 1970. Of equal ones the first row keeps it.
        taken: by subject, the moments at which the table keeps other rows, at least those of the rows' minutes.

    Returns:
        Position of a row → microseconds since 1970.
    """
    order = np.lexsort([times, subjects])
    same_subject = subjects[order][1:] == subjects[order][:-1]
    again = same_subject & (times[order][1:] == times[order][:-1])
    crowded = set(subjects[order][1:][again].tolist())
    if not crowded and not taken:
        return {}
    rows: dict[int, list[int]] = {}
    for at in np.flatnonzero(np.isin(subjects, list(crowded | taken.keys()))).tolist():
        rows.setdefault(int(subjects[at]), []).append(at)
    found: dict[int, int] = {}
    for subject, positions in rows.items():
        found |= _of_one(positions, times, taken.get(subject, frozenset()))
    return found


def _of_one(positions: list[int], times: Indices, taken: Set[int]) -> dict[int, int]:
    """Those that report a free moment have it, whatever comes before them; then the others are put in between."""
    full, others = set(taken), list[int]()
    for at in positions:
        moment = int(times[at])
        if moment in full:
            others.append(at)
        full.add(moment)
    found: dict[int, int] = {}
    last: dict[int, int] = {}
    """By reported moment, the one that was found last: all between the two are taken."""
    for at in others:
        moment = int(times[at])
        found[at] = last[moment] = _free(moment, last.get(moment, moment), full)
        full.add(found[at])
    return found


def _free(moment: int, last: int, full: Set[int]) -> int:
    first = moment - moment % MINUTE_US
    if last >= moment:
        onward = next(at for at in count(last + 1) if at not in full)
        if onward < first + MINUTE_US:
            return onward
        last = moment
    back = next(at for at in count(last - 1, -1) if at not in full)
    if back < first:
        raise ValueError(f"the minute of {moment} µs has no free microsecond")
    return back
