"""The order of acceptance: of two versions of one key, which was accepted later. One order for all doors.

| the two versions came | the later one is |
| --- | --- |
| from one journal, in one incarnation of it | the one with the larger entry id |
| from one journal, in two incarnations | the one of the newer incarnation, if it is not an entry of the older one too |
| through different doors | the one whose moment is later: an entry's is the millisecond of its id, a file's or a vendor's that of \
its import, a sampled value's somewhere between two looks |

Where neither is proven to be later they cannot be ordered. The archive remembers of a row the range of its batch, not its
entry id, and that is enough: two batches never share a part of one incarnation.

Belongs here: this rule, as a pure function. Does not: what becomes of the earlier version (`archive.plan`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from trading_data.live.journal import BEGINNING
from trading_data.live.ranges import FIRST_INCARNATION, EntryRange

MILLISECOND_US = 1000
_LAST_WITHOUT_HASHES = FIRST_INCARNATION + 1


class Order(Enum):
    """Where a version stands to another one."""

    NEWER = "newer"
    OLDER = "older"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Accepted:
    """When and where a version was accepted.

    Attributes:
        first_us, last_us: between which moments, both inclusive; microseconds since 1970.
        journal: the journal, as the ledger names it; empty for other doors.
        entries: the part of the journal that it lies in: the range of a batch, or (after, id] of a single entry.
        again_us: until when another version said the same through another door, and changed nothing; None if none did.
    """

    first_us: int
    last_us: int
    journal: str = ""
    entries: EntryRange | None = None
    again_us: int | None = None


def compare(version: Accepted, row: Accepted, archived: Sequence[EntryRange] = ()) -> Order:
    """Where a version that comes stands to the row that the archive has.

    Args:
        version: what comes; it is none of the entries that are archived already.
        row: where the archive's row came from.
        archived: the ranges of the journal that are archived, of all its incarnations.
    """
    order = _compare(version, row, archived)
    return Order.UNKNOWN if order is Order.NEWER and _may_be_said_again(version, row, archived) else order


def _may_be_said_again(version: Accepted, row: Accepted, archived: Sequence[EntryRange]) -> bool:
    """Whether what a row says may have been accepted again after a version, without a trace on the row."""
    entries = version.entries
    of_newer = entries is not None and any(one.incarnation > entries.incarnation for one in archived)
    return of_newer or (row.again_us is not None and version.first_us <= row.again_us)


def _compare(version: Accepted, row: Accepted, archived: Sequence[EntryRange]) -> Order:
    if version.entries is not None and row.entries is not None and version.journal == row.journal:
        return _in_one_journal(version.entries, row.entries, archived)
    if version.first_us > row.last_us:
        return Order.NEWER
    return Order.OLDER if version.last_us < row.first_us else Order.UNKNOWN


def _in_one_journal(version: EntryRange, row: EntryRange, archived: Sequence[EntryRange]) -> Order:
    entry = version.last
    if entry <= row.after and version.incarnation <= row.incarnation:
        return Order.OLDER
    if entry > row.last and version.incarnation >= row.incarnation:
        return Order.NEWER
    if version.incarnation > row.incarnation and has_hashes(row.incarnation):
        # An entry of the older incarnation would have been recognised, if its place is archived.
        looked_at = any(entry in one for one in archived if one.incarnation == row.incarnation)
        return Order.NEWER if looked_at else Order.UNKNOWN
    return Order.UNKNOWN


def may_lie_between(row: Accepted, version: Accepted, parts: Sequence[EntryRange]) -> bool:
    """Whether an entry that is not archived yet may have been accepted after a row and before an entry that says the same.

    Then the entry has to take the row's place: beside the row's origin, what comes of these would look newer.

    Args:
        row: where the archive's row came from.
        version: the entry; it is newer than the row.
        parts: the ranges of this incarnation of the entry's journal that are archived, with those of its own batch, joined. They
            are not whole (`is_whole`), so that a single one which begins where the journal does lies around what is missing.
    """
    mine, held = version.entries, row.entries
    if held is None or mine is None or (row.journal, held.incarnation) != (version.journal, mine.incarnation):
        return True
    if len(parts) == 1 and parts[0].after == BEGINNING:
        return True
    return not any(held.last in part and mine.last in part for part in parts)


def is_whole(ranges: Sequence[EntryRange], count: int) -> bool:
    """Whether every entry that one incarnation of a journal had up to the end of these ranges, joined, is among `count` of them.

    A range alone does not say so: it may lie around entries that somebody deleted before they were read.
    """
    added = ranges[-1].added if ranges else None
    return added is not None and count >= added


def has_hashes(incarnation: int) -> bool:
    """Whether the entries of an incarnation can be recognised: releases before 0.2 kept no hashes of them."""
    return incarnation > _LAST_WITHOUT_HASHES


def journal_moment(ms: int, drained_us: int) -> tuple[int, int]:
    """Between which moments an entry was accepted: in the millisecond of its id, but not after it was drained."""
    first = min(ms * MILLISECOND_US, drained_us)
    return first, min(first + MILLISECOND_US - 1, max(drained_us, first))
