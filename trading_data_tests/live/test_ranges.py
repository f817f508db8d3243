"""Ranges of journal entries: every decision, as a table of cases."""

import pytest

from trading_data.live.journal import EntryId, JournalInfo
from trading_data.live.ranges import (
    EntryRange,
    by_journal,
    continues,
    first_gap,
    gaps,
    head_is_missing,
    joined,
    newest,
    next_incarnation,
    trimmable,
)

OLD, NOW = 5, 7
"""Two incarnations."""


def at(ms: int, seq: int = 0) -> EntryId:
    return EntryId(ms, seq)


def part(after: int, last: int, incarnation: int = NOW, anchor: str = "", added: int | None = None) -> EntryRange:
    return EntryRange(incarnation, at(after), at(last), anchor, added)


def info(first: int | None, last: int) -> JournalInfo:
    length = 0 if first is None else 1
    return JournalInfo(at(last), length, length, None if first is None else at(first))


@pytest.mark.parametrize(
    ("entry", "inside"),
    [
        (at(2), False),
        (at(2, 1), True),
        (at(3), True),
        (at(4), True),
        (at(4, 1), False),
        (at(1), False),
        (at(9), False),
        ("3-0", False),
    ],
)
def test_a_range_has_what_comes_after_its_beginning_and_its_end(entry: object, inside: bool) -> None:
    assert (entry in part(2, 4)) is inside


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([part(0, 2)], [part(0, 2)]),
        ([part(0, 2), part(2, 4)], [part(0, 4)]),
        ([part(2, 4), part(0, 2)], [part(0, 4)]),
        ([part(0, 3), part(2, 4)], [part(0, 4)]),
        ([part(0, 4), part(1, 3)], [part(0, 4)]),
        ([part(0, 4), part(0, 3)], [part(0, 4)]),
        ([part(0, 2), part(3, 4)], [part(0, 2), part(3, 4)]),
        ([part(0, 2), part(3, 4), part(2, 3)], [part(0, 4)]),
        ([part(0, 2, OLD), part(2, 4)], [part(0, 2, OLD), part(2, 4)]),
        ([part(1, 4), part(0, 4, OLD)], [part(0, 4, OLD), part(1, 4)]),
        ([part(0, 2, anchor="a", added=2), part(2, 4, anchor="b", added=4)], [part(0, 4, anchor="b", added=4)]),
        ([part(0, 4, anchor="b", added=4), part(1, 3, anchor="a", added=3)], [part(0, 4, anchor="b", added=4)]),
        ([part(0, 4, anchor="b", added=4), part(2, 4)], [part(0, 4, anchor="b", added=4)]),
        ([part(0, 4), part(2, 4, anchor="b", added=4)], [part(0, 4, anchor="b", added=4)]),
    ],
)
def test_ranges_are_joined_where_they_touch_and_nowhere_else(
    ranges: list[EntryRange], expected: list[EntryRange]
) -> None:
    assert joined(ranges) == expected


def test_a_gap_of_one_counter_is_a_gap() -> None:
    before, after = EntryRange(NOW, at(0), at(2)), EntryRange(NOW, at(2, 1), at(3))
    assert joined([before, after]) == [before, after]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([part(0, 9, OLD), part(0, 2), part(2, 3)], [part(0, 3)]),
        ([part(0, 2), part(3, 4), part(0, 9, OLD)], [part(0, 2), part(3, 4)]),
    ],
)
def test_the_newest_are_those_of_the_largest_incarnation(ranges: list[EntryRange], expected: list[EntryRange]) -> None:
    assert newest(ranges) == expected


@pytest.mark.parametrize(
    ("journal", "anchor", "found", "expected"),
    [
        (info(1, 4), "same", "same", True),
        (info(1, 9), "same", "same", True),
        (info(4, 9), "same", "same", True),
        (info(1, 9), "same", "other", False),
        (info(4, 4), "same", "other", False),
        (info(1, 9), "", "anything", True),  # a release before 0.2 kept no anchors
        (info(1, 9), "same", None, False),  # the entry is gone, and those before it are not
        (info(4, 9), "same", None, False),
        (info(5, 9), "same", None, True),  # cut behind the range
        (info(None, 9), "same", None, True),
        (info(None, 4), "same", None, True),
        (info(None, 3), "same", None, False),
        (info(1, 3), "same", None, False),
        (info(1, 3), "", None, False),
        (info(1, 3), "same", "same", False),
    ],
)
def test_a_journal_is_known_again_by_the_entry_at_the_end_of_its_range(
    journal: JournalInfo, anchor: str, found: str | None, expected: bool
) -> None:
    assert continues(part(0, 4, anchor=anchor), journal, found) is expected


@pytest.mark.parametrize(
    ("added", "journal", "found", "expected"),
    [
        (4, JournalInfo(at(9), 5, 4, at(1)), "same", True),
        (4, JournalInfo(at(9), 5, 3, at(1)), "same", False),  # fewer than had been added by then
        (4, JournalInfo(at(4), 2, 4, at(3)), "same", True),
        (4, JournalInfo(at(4), 2, 5, at(3)), "same", False),  # more, and it ends as before
        (4, JournalInfo(at(9), 5, 9, at(5)), None, True),  # four or more are gone: they were trimmed
        (4, JournalInfo(at(9), 5, 10, at(5)), None, True),
        (4, JournalInfo(at(9), 5, 8, at(5)), None, False),  # three are gone: it begins after the range by itself
        (4, JournalInfo(at(9), 5, 5, at(5)), None, False),
        (4, JournalInfo(at(4), 0, 4, None), None, True),
        (4, JournalInfo(at(4), 0, 3, None), None, False),
        (None, JournalInfo(at(9), 5, 5, at(5)), None, True),
    ],
)
def test_a_journal_that_begins_after_its_range_was_trimmed_only_if_so_many_are_gone(
    added: int | None, journal: JournalInfo, found: str | None, expected: bool
) -> None:
    assert continues(part(0, 4, anchor="same", added=added), journal, found) is expected


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        (JournalInfo(at(4), 3, 4, at(1), at(4)), True),
        (JournalInfo(at(4), 3, 5, at(1), at(4)), False),  # more had been added
        (JournalInfo(at(4), 2, 4, at(1), at(3)), False),  # the last one of all was never there
        (JournalInfo(at(9), 4, 5, at(1), at(4)), False),  # another one follows
    ],
)
def test_a_journal_whose_last_entry_was_deleted_is_known_until_another_one_follows(
    journal: JournalInfo, expected: bool
) -> None:
    assert continues(part(0, 4, anchor="same", added=4), journal, None) is expected


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        (JournalInfo(at(4), 1, 4, at(4)), True),
        (JournalInfo(at(4), 4, 4, at(1)), True),
        (JournalInfo(at(9), 1, 4, at(4)), True),  # XSETID
        (JournalInfo(at(9), 3, 6, at(4)), True),
        (JournalInfo(at(9), 3, 5, at(4)), False),  # of three entries only one was added behind it
        (JournalInfo(at(9), 3, 7, at(4)), False),  # one of those behind it is gone
        (JournalInfo(at(9), 3, 7, at(4), at(3)), False),
        (JournalInfo(at(9), 3, 7, at(4), at(5)), True),  # somebody has removed it
        (JournalInfo(at(9), 3, 5, at(4), at(5)), False),
        (JournalInfo(at(9), 6, 6, at(1)), True),
        (JournalInfo(at(9), 4, 6, at(2)), True),
        (JournalInfo(at(9), 3, 6, at(3)), False),  # the first one, it, and two behind it are four
        (JournalInfo(at(9), 3, 6, at(3), at(5)), True),
        (JournalInfo(at(9), 3, 3, at(3)), False),
    ],
)
def test_how_many_entries_were_added_behind_the_range_has_to_agree(journal: JournalInfo, expected: bool) -> None:
    assert continues(part(0, 4, anchor="same", added=4), journal, "same") is expected


@pytest.mark.parametrize(
    ("ranges", "journal", "expected"),
    [
        ([], JournalInfo(at(9), 5, 5, at(5)), False),
        ([], JournalInfo(at(9), 5, 6, at(5)), True),
        ([], JournalInfo(at(9), 0, 6, None), False),
        ([part(0, 5, added=1)], JournalInfo(at(9), 5, 6, at(5)), False),  # its first entry is covered
        ([part(0, 4, added=1)], JournalInfo(at(9), 5, 6, at(5)), False),  # the one that is gone is covered
        ([part(0, 4, added=1)], JournalInfo(at(9), 5, 7, at(5)), True),
        ([part(0, 4)], JournalInfo(at(9), 5, 7, at(5)), True),  # how many there were is not known
        ([part(0, 4, incarnation=2)], JournalInfo(at(9), 5, 7, at(5)), False),  # of an earlier release
        ([part(6, 9, added=7)], JournalInfo(at(9), 5, 6, at(5)), True),
        ([part(0, 2, added=1), part(3, 4, added=3)], JournalInfo(at(9), 5, 9, at(5)), True),
        ([part(0, 2, added=1), part(3, 4, added=4)], JournalInfo(at(9), 5, 9, at(5)), False),
    ],
)
def test_entries_that_have_gone_before_the_first_one(
    ranges: list[EntryRange], journal: JournalInfo, expected: bool
) -> None:
    assert head_is_missing(ranges, journal) is expected


@pytest.mark.parametrize(
    ("ranges", "clock", "expected"),
    [([], 100, 100), ([part(0, 2)], 100, 100), ([part(0, 2), part(0, 2, 100)], 100, 101), ([part(0, 2, 500)], 3, 501)],
)
def test_a_new_incarnation_is_the_largest_whatever_the_clock_says(
    ranges: list[EntryRange], clock: int, expected: int
) -> None:
    assert next_incarnation(ranges, clock) == expected


@pytest.mark.parametrize(
    ("ranges", "last", "expected"),
    [
        ([], 4, (0, 4)),
        ([], 0, None),
        ([part(0, 4)], 4, None),
        ([part(0, 4)], 3, None),
        ([part(0, 4)], 5, (4, 5)),
        ([part(2, 4)], 4, (0, 2)),
        ([part(2, 4)], 9, (0, 2)),
        ([part(0, 2), part(3, 4)], 4, (2, 3)),
        ([part(0, 2), part(3, 4), part(5, 6)], 9, (2, 3)),
    ],
)
def test_the_first_gap(ranges: list[EntryRange], last: int, expected: tuple[int, int] | None) -> None:
    assert first_gap(ranges, at(last)) == (None if expected is None else (at(expected[0]), at(expected[1])))


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([part(1, 4)], []),
        ([part(0, 2), part(3, 4), part(6, 7)], [(2, 3), (4, 6)]),
        ([part(0, 2, OLD), part(3, 4)], []),
        ([part(0, 2, OLD), part(3, 4, OLD), part(5, 6), part(8, 9)], [(2, 3), (6, 8)]),
    ],
)
def test_gaps_lie_between_the_ranges_of_one_incarnation(
    ranges: list[EntryRange], expected: list[tuple[int, int]]
) -> None:
    assert gaps(ranges) == [(at(after), at(upto)) for after, upto in expected]


@pytest.mark.parametrize(
    ("ranges", "first", "expected"),
    [
        ([], 1, None),
        ([part(0, 4)], None, None),
        ([part(0, 4)], 1, part(0, 4)),
        ([part(0, 4)], 4, part(0, 4)),
        ([part(0, 4)], 5, None),
        ([part(2, 4)], 1, None),
        ([part(2, 4)], 2, None),
        ([part(2, 4)], 3, part(2, 4)),
        ([part(0, 2), part(3, 6)], 1, part(0, 2)),
        ([part(0, 2), part(3, 6)], 3, None),
        ([part(0, 2), part(3, 6)], 4, part(3, 6)),
    ],
)
def test_only_the_range_that_has_the_first_entry_may_be_trimmed(
    ranges: list[EntryRange], first: int | None, expected: EntryRange | None
) -> None:
    assert trimmable(ranges, None if first is None else at(first)) == expected


def test_by_journal() -> None:
    pairs = [("a", part(0, 1)), ("b", part(0, 2)), ("a", part(1, 3))]
    assert by_journal(pairs) == {"a": [part(0, 1), part(1, 3)], "b": [part(0, 2)]}
