"""Which entries of a journal are accounted for: ranges of entry ids, and which incarnation of the journal they belong to.

Every entry in a range is archived or on its way. A range keeps the content of the entry at its end (the anchor) as a digest, so
that a journal that was restored to an earlier state, or created again, is not mistaken for the one that the range belongs to.

Everything here is a pure function. Belongs here: these decisions. Does not: queries (`live.journal`, `intake.accounted`,
`archive.ledger`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from trading_data.live.journal import BEGINNING, EntryId, JournalInfo

FIRST_INCARNATION = 1
"""The incarnation that ranges of releases before 0.2 belong to; later ones are milliseconds since 1970, which are larger."""
OF_EARLIER_RELEASES = FIRST_INCARNATION + 1
"""Incarnations up to this one were converted from watermarks: the start and the number of entries of their ranges are unknown."""


class EntryRange(NamedTuple):
    """Every entry of one incarnation of a journal after `after` up to and including `last`.

    Attributes:
        incarnation: a number that grows each time a different journal is found under the name.
        after, last: entry ids; `after` is exclusive.
        anchor: digest of the entry `last` (see `live.journal.entry_digest`); empty if unknown.
        added: how many entries had ever been added to the journal by the time `last` was; None if unknown.
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
    ordered = [*ranges]
    if len(ordered) > 1:
        ordered.sort(key=_BY_ID)
    out = ordered[:1]
    for range_ in ordered[1:]:
        before = out[-1]
        if before.incarnation != range_.incarnation or range_.after > before.last:
            out.append(range_)
        elif range_.last > before.last or (range_.last == before.last and range_.anchor):
            out[-1] = range_._replace(after=before.after)
    return out


def newest(ranges: Iterable[EntryRange]) -> list[EntryRange]:
    """The ranges of the newest incarnation, joined."""
    in_order = joined(ranges)
    return [range_ for range_ in in_order if range_.incarnation == in_order[-1].incarnation]


def ends(known: Mapping[str, Sequence[EntryRange]]) -> dict[str, EntryId]:
    """The last entry of the newest known incarnation of each journal."""
    return {
        name: max((range_.incarnation, range_.last) for range_ in ranges)[1] for name, ranges in known.items() if ranges
    }


def continues(end: EntryRange, info: JournalInfo, digest: str | None) -> bool:
    """Whether a journal is still the incarnation whose last known range is `end`.

    It is if the entry at the end of that range is there with the same content, if the journal begins after it (the entries
    before were trimmed), or if it was deleted and nothing was added since. The number of entries ever added must agree, as far as
    XINFO has it. Some cases cannot be recognised, since every count agrees: a journal created again with as many entries up to the
    same anchor, one of them different; where the anchor was trimmed (XTRIM), a journal created again with as many entries added and
    as many trimmed; where it was deleted, one created again with as many entries up to the same id, deleted, too.

    Args:
        end: the last range of the newest known incarnation.
        info: the journal's figures.
        digest: digest of the journal's entry `end.last`, None if it has no such entry.
    """
    if info.last < end.last:
        return False
    if digest is None:
        if info.deleted == info.last == end.last and info.added == end.added:
            return True
        trimmed = info.first is None or info.first > end.last
        return trimmed and (end.added is None or end.added <= info.added - info.length)
    return end.anchor in ("", digest) and (end.added is None or _agrees(end, info, info.added - end.added))


def _agrees(end: EntryRange, info: JournalInfo, behind: int) -> bool:
    """Whether `behind` entries can have been added to a journal after its entry `end.last`."""
    if info.last == end.last:
        return behind == 0
    begins_there = info.first == end.last
    # How many entries of the journal can lie after `end.last`: all but that entry and, if it is another one, the first.
    most = info.length - (1 if begins_there else 2)
    if begins_there and behind < most:
        return False
    return 0 <= behind <= most or (behind > most and info.deleted > end.last)


def end_was_deleted(end: EntryRange, info: JournalInfo) -> bool:
    """Whether a journal that does not continue a range may be the same one, with the range's last entry deleted."""
    return info.deleted >= end.last and (end.added is None or end.added < info.added)


def next_incarnation(ranges: Iterable[EntryRange], clock_ms: int) -> int:
    """The number of an incarnation seen for the first time: larger than all known numbers of this journal."""
    return max([clock_ms, *(range_.incarnation + 1 for range_ in ranges)])


def first_gap(ranges: Sequence[EntryRange], last: EntryId) -> tuple[EntryId, EntryId] | None:
    """The first part (after, upto) of (0-0, last] outside all ranges; `ranges` are joined and of one incarnation."""
    after = BEGINNING
    for range_ in ranges:
        if range_.after > after:
            return after, range_.after
        after = max(after, range_.last)
    return (after, last) if after < last else None


def head_is_missing(ranges: Sequence[EntryRange], info: JournalInfo) -> bool:
    """Whether a journal may have lost entries from its beginning that its ranges (joined, of one incarnation) do not cover."""
    if info.first is None or trimmable(ranges, info.first) is not None:
        return False
    before = [range_ for range_ in ranges if range_.last < info.first]
    if before and before[-1].added is None:
        # Earlier releases trimmed the anchor as well: then nothing is missing.
        return before[-1].incarnation > OF_EARLIER_RELEASES
    return info.added - info.length > (before[-1].added or 0 if before else 0)


def gaps(ranges: Sequence[EntryRange]) -> list[tuple[EntryId, EntryId]]:
    """The parts (after, upto) between the ranges of each incarnation; `ranges` are joined."""
    return [(left.last, right.after) for left, right in pairwise(ranges) if left.incarnation == right.incarnation]


def trimmable(ranges: Sequence[EntryRange], first: EntryId | None) -> EntryRange | None:
    """The range that covers a journal from its first entry on without a gap; None if its first entry is not covered."""
    if first is not None:
        for range_ in ranges:
            if range_.after < first <= range_.last:
                return range_
    return None


def by_journal(known: Iterable[tuple[str, EntryRange]]) -> Mapping[str, list[EntryRange]]:
    """Ranges of several journals, by journal."""
    out: dict[str, list[EntryRange]] = {}
    for journal, range_ in known:
        out.setdefault(journal, []).append(range_)
    return out
