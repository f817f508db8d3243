"""Where rows of one subject and one moment are kept: the first at it, each other one at the next free microsecond.

The table's key is subject and time, and an exchange reports several fills of an order in one millisecond. A row stays within the
minute that was reported, so that its day, its coverage and its bucket in every aggregate are those of the moment that was reported;
at the end of the minute it goes back instead of on.

Belongs here: choosing moments, as a pure function. Does not: which rows there are (`archive.plan`), or were (`archive.known`).
"""

from collections.abc import Mapping, Set
from itertools import count

import numpy as np

from trading_data.archive.versions import Indices

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
