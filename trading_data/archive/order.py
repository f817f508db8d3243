"""The order of acceptance: which of two versions of one key was accepted later. One order for entries of every origin.

| the two versions came | the later one is |
| --- | --- |
| from one journal, in one incarnation | the one with the larger entry id |
| from one journal, in two incarnations | the one of the newer incarnation, if it is not an entry of the older one too |
| from two samples of one latest value | the one of the later poll |
| from different origins | the one with the later moment: of an entry the millisecond of its id, of a file or a vendor the import, \
of a sampled value some moment between two samples |

If neither is proven to be later, they cannot be ordered. For each row the archive keeps the range of its batch instead of the entry
id. That is enough, because two batches never share a part of one incarnation. All functions here are pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from trading_data.live.journal import BEGINNING
from trading_data.live.ranges import FIRST_INCARNATION, EntryRange

MILLISECOND_US = 1000
_LAST_WITHOUT_HASHES = FIRST_INCARNATION + 1


class Order(Enum):
    """Whether a version is newer or older than another one."""

    NEWER = "newer"
    OLDER = "older"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Accepted:
    """When and where a version was accepted.

    Attributes:
        first_us, last_us: the earliest and latest possible moment, both inclusive; microseconds since 1970.
        journal: the journal, as the ledger names it; empty for other origins.
        entries: the part of the journal with the version: the range of a batch, or (after, id] of a single entry.
        confirmed_us: the latest moment at which the row may have been confirmed from another origin; None if it was not.
        sampled: whether it is a sampled value: set after the poll before had begun (`first_us`), and read before `last_us`.
    """

    first_us: int
    last_us: int
    journal: str = ""
    entries: EntryRange | None = None
    confirmed_us: int | None = None
    sampled: bool = False


def compare(version: Accepted, row: Accepted, archived: Sequence[EntryRange] = ()) -> Order:
    """Order a new version against the archive's row.

    Args:
        version: the new version; it is not archived already.
        row: where the archive's row came from.
        archived: the archived ranges of the journal, of all its incarnations.
    """
    order = _compare(version, row, archived)
    return Order.UNKNOWN if order is Order.NEWER and _may_be_confirmed_later(version, row, archived) else order


def _may_be_confirmed_later(version: Accepted, row: Accepted, archived: Sequence[EntryRange]) -> bool:
    """Whether the row may have been confirmed after the version was accepted; a confirmation leaves no trace on the row."""
    entries = version.entries
    of_newer = entries is not None and any(part.incarnation > entries.incarnation for part in archived)
    return of_newer or (row.confirmed_us is not None and version.first_us <= row.confirmed_us)


def _compare(version: Accepted, row: Accepted, archived: Sequence[EntryRange]) -> Order:
    if version.entries is not None and row.entries is not None and version.journal == row.journal:
        return _in_one_journal(version.entries, row.entries, archived)
    if version.first_us > row.last_us:
        return Order.NEWER
    if version.last_us < row.first_us:
        return Order.OLDER
    return _of_two_polls(version, row) if version.sampled and row.sampled else Order.UNKNOWN


def _of_two_polls(version: Accepted, row: Accepted) -> Order:
    """Two samples of one key. The later poll read another value than the one before, although that took some time to read."""
    if version.first_us > row.first_us and version.last_us > row.last_us:
        return Order.NEWER
    return Order.OLDER if version.first_us < row.first_us and version.last_us < row.last_us else Order.UNKNOWN


def _in_one_journal(version: EntryRange, row: EntryRange, archived: Sequence[EntryRange]) -> Order:
    entry = version.last
    if entry <= row.after and version.incarnation <= row.incarnation:
        return Order.OLDER
    if entry > row.last and version.incarnation >= row.incarnation:
        return Order.NEWER
    if version.incarnation > row.incarnation and has_hashes(row.incarnation):
        # An entry of the older incarnation would have been recognised if its id lies in an archived range.
        looked_at = any(entry in part for part in archived if part.incarnation == row.incarnation)
        return Order.NEWER if looked_at else Order.UNKNOWN
    return Order.UNKNOWN


def may_lie_between(row: Accepted, version: Accepted, parts: Sequence[EntryRange]) -> bool:
    """Whether an unarchived entry may have been accepted after a row and before a newer entry with the row's values.

    Then the newer entry has to replace the row. Otherwise the unarchived one, once it arrives, would look newer than the row.

    Args:
        row: where the archive's row came from.
        version: the newer entry.
        parts: the archived ranges of this incarnation of the entry's journal and those of its own batch, joined. They are
            incomplete (not `is_complete`). So a single range from the journal's beginning surrounds the missing entries.
    """
    mine, held = version.entries, row.entries
    if held is None or mine is None or (row.journal, held.incarnation) != (version.journal, mine.incarnation):
        return True
    if len(parts) == 1 and parts[0].after == BEGINNING:
        return True
    return not any(held.last in part and mine.last in part for part in parts)


def is_complete(ranges: Sequence[EntryRange], count: int) -> bool:
    """Whether `count` is every entry that one incarnation of a journal had up to the end of these joined ranges.

    A range alone is no proof: it may surround entries that were deleted from the journal before they were read.
    """
    added = ranges[-1].added if ranges else None
    return added is not None and count >= added


def has_hashes(incarnation: int) -> bool:
    """Whether hashes of an incarnation's entries are kept; releases before 0.2 kept none."""
    return incarnation > _LAST_WITHOUT_HASHES


def journal_moment(ms: int, drained_us: int) -> tuple[int, int]:
    """The first and last moment at which an entry can have been accepted: in its id's millisecond, but not after draining."""
    first = min(ms * MILLISECOND_US, drained_us)
    return first, min(first + MILLISECOND_US - 1, max(drained_us, first))
