"""Where rows with an identity are kept: on which days a subject may have some, and at which moment of their minute.

A fill is identified by its order and execution id, and a correction may report another time. So it has to be found on any day, and
the table is in the order of time. For each order with fills on a day the archive keeps four bytes, the beginning of its SHA-256. A
load reads them all: a few milliseconds for a million orders. If two orders share these bytes, one is looked up in vain.

The table's key is subject and time, and an exchange reports several fills of an order in one millisecond. The first is kept at its
own moment, each other one at the next free microsecond, or at the end of the minute at an earlier one. So a row stays in the
reported minute, and its day, its coverage and its bucket in every aggregate are those of the reported time.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import count

import numpy as np
import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.sql import statement
from trading_data.archive.versions import DAY_US, Hashes, Indices, Mask, day_of, distinct, moment_of, number_of
from trading_data.datasets.declaration import Dataset

MINUTE_US = 60_000_000
Span = tuple[datetime, datetime]
"""First and last moment, both inclusive, aware UTC."""
_LOOK_UP_BITS = 22


@dataclass(frozen=True)
class _Kept:
    number: int
    day: int
    hashes: Hashes


class SubjectDays:
    """On which days the archive may hold rows of some subjects, as a transaction sees it."""

    def __init__(self, cursor: Cursor, dataset: Dataset, subjects: Sequence[str]) -> None:
        """Read the kept hashes; `subjects` are distinct."""
        self._cursor, self._dataset = cursor, dataset
        self._hashes = hashes_of(subjects)
        self._sorted = np.sort(self._hashes)
        cursor.execute(statement("subject_hashes"), {"dataset": dataset.name})
        self._kept = [
            _Kept(number, number_of(day), np.frombuffer(data, "<u4")) for number, day, data in cursor.fetchall()
        ]
        days, self.known = set[int](), np.zeros(len(subjects), dtype=bool)
        for day, hashes in self._matches():
            days.add(day)
            self.known |= _among(self._hashes, np.sort(hashes))
        self.spans = list(_spans(days))

    def keep(self, subjects: Indices, days: Indices) -> None:
        """Keep the days (since 1970) of subjects (by position), pair by pair."""
        merged: list[int] = []
        grown: dict[int, Hashes] = {}
        for day in distinct(days).tolist():
            new = distinct(self._hashes[subjects[days == day]])
            parts = sorted((kept for kept in self._kept if kept.day == day), key=lambda kept: len(kept.hashes))
            if parts:
                new = new[~_among(new, np.sort(np.concatenate([part.hashes for part in parts])))]
            if not len(new):
                continue
            for part in parts:  # each at least twice as long as the one before, so that there are few
                if len(part.hashes) < 2 * len(new):
                    new = np.concatenate([part.hashes, new])
                    merged.append(part.number)
            grown[day] = new
        if grown:
            values = {
                "dataset": self._dataset.name,
                "merged": merged,
                "days": [day_of(day) for day in grown],
                "hashes": [psycopg2.Binary(hashes.astype("<u4").tobytes()) for hashes in grown.values()],
            }
            self._cursor.execute(statement("keep_subject_hashes"), values)

    def _matches(self) -> Iterator[tuple[int, Hashes]]:
        """Each day (since 1970) with kept hashes of the subjects; most are of others, and their last bits are compared first."""
        mask = np.uint32((1 << _LOOK_UP_BITS) - 1)
        ours = np.zeros(1 << _LOOK_UP_BITS, dtype=bool)
        ours[self._hashes & mask] = True
        for kept in self._kept:
            alike = kept.hashes[ours[kept.hashes & mask]]
            alike = alike[_among(alike, self._sorted)]
            if len(alike):
                yield kept.day, alike


def hashes_of(subjects: Sequence[str]) -> Hashes:
    """Four bytes of each subject, as the table's migration computes them."""
    sha256 = hashlib.sha256
    return np.frombuffer(b"".join([sha256(subject.encode()).digest()[:4] for subject in subjects]), "<u4")


def _spans(days: set[int]) -> Iterator[Span]:
    """Days since 1970 as spans of consecutive days."""
    numbers = np.sort(np.fromiter(days, dtype=np.int64))
    for part in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
        if len(part):
            yield moment_of(int(part[0]) * DAY_US), moment_of((int(part[-1]) + 1) * DAY_US - 1)


def pairs_of(subjects: Indices, times: Indices) -> tuple[Indices, Indices]:
    """The distinct pairs of subject (a position) and day since 1970 of rows."""
    days = times // DAY_US
    low = int(days.min())
    width = int(days.max()) - low + 1
    pairs = distinct(subjects.astype(np.int64) * width + (days - low))
    return pairs // width, pairs % width + low


def _among(values: Hashes, hashes: Hashes) -> Mask:
    """Which values are among sorted hashes."""
    if not len(values) or not len(hashes):
        return np.zeros(len(values), dtype=bool)
    there: Mask = hashes[np.minimum(np.searchsorted(hashes, values), len(hashes) - 1)] == values
    return there


def displaced(subjects: Indices, times: Indices, taken: Mapping[int, Set[int]]) -> dict[int, int]:
    """Which rows cannot be kept at the time they report, and the moments that they get instead.

    Args:
        subjects: each row's, as a number.
        times: the reported times, in microseconds since 1970. Of rows with equal times the first keeps it.
        taken: by subject, the moments at which the table keeps other rows, at least those in the rows' minutes.

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
    moved: dict[int, int] = {}
    for subject, positions in rows.items():
        moved |= _displaced_of_subject(positions, times, taken.get(subject, frozenset()))
    return moved


def _displaced_of_subject(positions: list[int], times: Indices, taken: Set[int]) -> dict[int, int]:
    """Rows that report a free moment keep it; the others are then put in between."""
    full, others = set(taken), list[int]()
    for at in positions:
        moment = int(times[at])
        if moment in full:
            others.append(at)
        full.add(moment)
    moved: dict[int, int] = {}
    last: dict[int, int] = {}
    """By reported time, the moment given last: all moments between the two are taken."""
    for at in others:
        moment = int(times[at])
        moved[at] = last[moment] = _free(moment, last.get(moment, moment), full)
        full.add(moved[at])
    return moved


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
