"""Which entries of a journal are accounted for: ranges of entry ids, and which incarnation of the journal they belong to.

A range says that every entry after one id up to another is archived, or on its way. It remembers the entry at its end (the
anchor) by content, so that a journal that went back, or was made anew, is not taken for the one that the range is about.

Everything here is a pure function of what is known. Belongs here: these decisions. Does not: asking (`live.journal`,
`intake.coverage`, `archive.ledger`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from trading_data.live.journal import BEGINNING, EntryId, JournalInfo

FIRST_INCARNATION = 1
"""The incarnation that ranges of releases before 0.2 belong to; later ones are milliseconds since 1970, which are larger."""
OF_EARLIER_RELEASES = FIRST_INCARNATION + 1
"""Incarnations up to this one were made of marks: where their ranges begin, and how many entries they had, is not known."""


class EntryRange(NamedTuple):
    """Every entry of one incarnation of a journal after `after` up to and with `last`.

    Attributes:
        incarnation: a number that grows each time the journal is found to be another one than before.
        after, last: entry ids; `after` is exclusive.
        anchor: digest of the entry `last` (see `live.journal.entry_digest`); empty if not known.
        added: how many entries had ever been added to the journal when `last` was; None if not known.
    """

    incarnation: int
    after: EntryId
    last: EntryId
    anchor: str = ""
    added: int | None = None

    def __contains__(self, entry: object) -> bool:
        """Whether an entry id lies in the range."""
        return isinstance(entry, EntryId) and self.after < entry <= self.last


_BY_ID = attrgetter("incarnation", "after", "last", "anchor")


def joined(ranges: Iterable[EntryRange]) -> list[EntryRange]:
    """The same entries in as few ranges as possible, by incarnation and id."""
    every = sorted(ranges, key=_BY_ID)
    out = every[:1]
    for one in every[1:]:
        before = out[-1]
        if before.incarnation != one.incarnation or one.after > before.last:
            out.append(one)
        elif one.last > before.last or (one.last == before.last and one.anchor):
            out[-1] = one._replace(after=before.after)
    return out


def newest(ranges: Iterable[EntryRange]) -> list[EntryRange]:
    """The ranges of the newest incarnation, joined."""
    every = joined(ranges)
    return [one for one in every if one.incarnation == every[-1].incarnation]


def ends(known: Mapping[str, Sequence[EntryRange]]) -> dict[str, EntryId]:
    """The last entry of the newest known incarnation of each journal."""
    return {
        name: max((range_.incarnation, range_.last) for range_ in ranges)[1] for name, ranges in known.items() if ranges
    }


def continues(end: EntryRange, info: JournalInfo, found: str | None) -> bool:
    """Whether a journal is still the incarnation whose last known range is `end`.

    It is if the entry at the end of that range stands there with the same content, or if the journal begins after it (what
    came before was trimmed). How many entries were ever added has to agree with that, as far as XINFO tells. What it does not
    tell, because every count agrees: as many entries as before were sent again up to the same last one, and one of those before
    it is another. Nor, where the end was trimmed (XTRIM): a journal made anew to which as many entries were added as before, and
    from which as many were trimmed.

    Args:
        end: the last range of the newest known incarnation.
        info: what the journal says of itself.
        found: digest of the journal's entry `end.last`, None if it has no such entry.
    """
    if info.last < end.last:
        return False
    if found is None:
        trimmed = info.first is None or info.first > end.last
        return trimmed and (end.added is None or end.added <= info.added - info.length)
    return end.anchor in ("", found) and (end.added is None or _agrees(end, info, info.added - end.added))


def _agrees(end: EntryRange, info: JournalInfo, behind: int) -> bool:
    """Whether so many entries can have been added to a journal behind its entry `end.last`."""
    if info.last == end.last:
        return behind == 0
    begins_there = info.first == end.last
    most = info.length - (1 if begins_there else 2)  # stand behind it: not it itself, nor the first entry
    if begins_there and behind < most:
        return False
    return 0 <= behind <= most or (behind > most and info.deleted > end.last)


def end_was_deleted(end: EntryRange, info: JournalInfo) -> bool:
    """Whether a journal that does not go on from a range may be the same one, and somebody has deleted the range's last entry."""
    return info.deleted >= end.last and (end.added is None or end.added < info.added)


def next_incarnation(ranges: Iterable[EntryRange], clock_ms: int) -> int:
    """The number of an incarnation seen for the first time: larger than all that are known of this journal."""
    return max([clock_ms, *(range_.incarnation + 1 for range_ in ranges)])


def first_gap(ranges: Sequence[EntryRange], last: EntryId) -> tuple[EntryId, EntryId] | None:
    """The first part (after, upto) of (0-0, last] that no range covers; `ranges` are joined and of one incarnation."""
    after = BEGINNING
    for range_ in ranges:
        if range_.after > after:
            return after, range_.after
        after = max(after, range_.last)
    return (after, last) if after < last else None


def head_is_missing(ranges: Sequence[EntryRange], info: JournalInfo) -> bool:
    """Whether entries may have gone from the beginning of a journal that its ranges (joined, of one incarnation) do not cover."""
    if info.first is None or trimmable(ranges, info.first) is not None:
        return False
    before = [range_ for range_ in ranges if range_.last < info.first]
    if before and before[-1].added is None:
        return before[-1].incarnation > OF_EARLIER_RELEASES  # those left no anchor in the journals that they trimmed
    return info.added - info.length > (before[-1].added or 0 if before else 0)


def gaps(ranges: Sequence[EntryRange]) -> list[tuple[EntryId, EntryId]]:
    """The parts (after, upto) between the ranges of each incarnation; `ranges` are joined."""
    return [(one.last, other.after) for one, other in pairwise(ranges) if one.incarnation == other.incarnation]


def trimmable(ranges: Sequence[EntryRange], first: EntryId | None) -> EntryRange | None:
    """The range that covers a journal from its first entry on without a gap; None if its first entry is not covered."""
    return next((range_ for range_ in ranges if first is not None and first in range_), None)


def by_journal(known: Iterable[tuple[str, EntryRange]]) -> Mapping[str, list[EntryRange]]:
    """Ranges of several journals, by journal."""
    out: dict[str, list[EntryRange]] = {}
    for journal, one in known:
        out.setdefault(journal, []).append(one)
    return out
