"""The order of acceptance: the whole table of `archive.order`, case by case."""

import pytest

from trading_data.archive.order import (
    Accepted,
    Order,
    compare,
    has_hashes,
    is_complete,
    journal_moment,
    may_lie_between,
)
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange

NEWER, OLDER, UNKNOWN = Order.NEWER, Order.OLDER, Order.UNKNOWN
BEFORE, NOW, LATER = 1_000, 1_007, 1_009
"""Three incarnations, of all of which hashes are kept."""
J = "journal:metrics"


FILE = Accepted(0, 2**62)


def part(after: int, last: int, incarnation: int = NOW) -> EntryRange:
    return EntryRange(incarnation, EntryId(after, 0), EntryId(last, 0))


def entry(ms: int, incarnation: int = NOW, journal: str = J) -> Accepted:
    """A version: one entry. Its moment says nothing about the order within a journal."""
    entry_id = EntryId(ms, 0)
    return Accepted(0, 2**62, journal, EntryRange(incarnation, entry_id.preceding(), entry_id))


def row(after: int, last: int, incarnation: int = NOW, journal: str = J) -> Accepted:
    """A row of the archive: the range of its batch."""
    return Accepted(0, 2**62, journal, part(after, last, incarnation))


@pytest.mark.parametrize(
    ("ms", "expected"),
    [(1, OLDER), (2, OLDER), (3, UNKNOWN), (4, UNKNOWN), (5, NEWER)],
)
def test_in_one_journal_by_the_id(ms: int, expected: Order) -> None:
    assert compare(entry(ms), row(2, 4)) is expected


@pytest.mark.parametrize("ms", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("archived", "places"),
    [
        ((), {}),
        ((part(0, 4, BEFORE),), {1: NEWER, 2: NEWER, 3: NEWER, 4: NEWER}),
        ((part(2, 4, BEFORE),), {3: NEWER, 4: NEWER}),
        ((part(0, 1, BEFORE), part(2, 4, BEFORE)), {1: NEWER, 3: NEWER, 4: NEWER}),
        ((part(0, 4, NOW),), {}),
        ((part(0, 4, NOW - 1),), {}),
    ],
)
def test_in_a_newer_incarnation_what_would_have_been_recognised_is_newer(
    ms: int, archived: tuple[EntryRange, ...], places: dict[int, Order]
) -> None:
    """After the row's range it is newer in any case; elsewhere only where the older incarnation is archived."""
    expected = NEWER if ms > 4 else places.get(ms, UNKNOWN)
    assert compare(entry(ms), row(2, 4, BEFORE), archived) is expected


@pytest.mark.parametrize(("ms", "expected"), [(1, OLDER), (2, OLDER), (3, UNKNOWN), (4, UNKNOWN), (5, UNKNOWN)])
def test_in_an_older_incarnation_only_what_comes_before_is_older(ms: int, expected: Order) -> None:
    assert compare(entry(ms), row(2, 4, LATER), [part(0, 9, LATER), part(0, 9)]) is expected
    assert compare(entry(ms), row(2, 4, LATER), [part(0, 9)]) is expected


@pytest.mark.parametrize("incarnation", [1, 2])
def test_an_incarnation_without_hashes_recognises_nothing(incarnation: int) -> None:
    archived = [part(0, 9, incarnation)]
    assert compare(entry(3), row(2, 4, incarnation), archived) is UNKNOWN
    assert compare(entry(1), row(2, 4, incarnation), archived) is UNKNOWN
    assert compare(entry(5), row(2, 4, incarnation), archived) is NEWER
    assert compare(entry(5, incarnation), row(2, 4, incarnation)) is NEWER
    assert compare(entry(2, incarnation), row(2, 4, incarnation)) is OLDER


@pytest.mark.parametrize(("incarnation", "expected"), [(0, False), (1, False), (2, False), (3, True), (BEFORE, True)])
def test_hashes_are_kept_since_release_0_2(incarnation: int, expected: bool) -> None:
    assert has_hashes(incarnation) is expected


@pytest.mark.parametrize(
    ("version", "known", "expected"),
    [
        ((10, 20), (0, 9), NEWER),
        ((10, 20), (0, 10), UNKNOWN),
        ((10, 20), (12, 15), UNKNOWN),
        ((10, 20), (20, 30), UNKNOWN),
        ((10, 20), (21, 30), OLDER),
        ((10, 10), (10, 10), UNKNOWN),
    ],
)
@pytest.mark.parametrize(
    ("version_in", "known_in"),
    [
        (("", None), ("", None)),
        ((J, part(0, 9)), ("", None)),
        (("", None), (J, part(0, 9))),
        ((J, part(8, 9)), ("journal:other", part(0, 1))),
        ((J, part(0, 1)), ("journal:other", part(8, 9))),
    ],
)
def test_through_different_doors_by_the_moment(
    version: tuple[int, int],
    known: tuple[int, int],
    expected: Order,
    version_in: tuple[str, EntryRange | None],
    known_in: tuple[str, EntryRange | None],
) -> None:
    assert compare(Accepted(*version, *version_in), Accepted(*known, *known_in)) is expected


@pytest.mark.parametrize(
    ("ms", "drained_us", "expected"),
    [
        (5, 10_000, (5_000, 5_999)),
        (5, 5_400, (5_000, 5_400)),
        (5, 5_000, (5_000, 5_000)),
        (5, 4_000, (4_000, 4_000)),  # an id from the future: the entry was accepted before it was drained
        (2**63, 4_000, (4_000, 4_000)),
        (0, 4_000, (0, 999)),
    ],
)
def test_an_entry_is_accepted_in_the_millisecond_of_its_id_but_not_after_it_was_drained(
    ms: int, drained_us: int, expected: tuple[int, int]
) -> None:
    assert journal_moment(ms, drained_us) == expected


def test_a_confirmation_after_a_version_makes_its_order_unknown() -> None:
    version = Accepted(10, 19)
    assert compare(version, Accepted(0, 9, confirmed_us=9)) is NEWER
    assert compare(version, Accepted(0, 9, confirmed_us=10)) is UNKNOWN
    assert compare(version, Accepted(20, 29, confirmed_us=10)) is OLDER
    assert compare(entry(5), Accepted(0, 0, J, part(2, 4), confirmed_us=0)) is UNKNOWN
    assert compare(entry(5), Accepted(0, 0, J, part(2, 4))) is NEWER


def test_an_entry_of_an_incarnation_that_another_has_followed_is_newer_than_nothing() -> None:
    """The newer incarnation may have confirmed the row."""
    assert compare(entry(5), row(2, 4), [part(0, 4), part(0, 9, BEFORE)]) is NEWER
    assert compare(entry(5), row(2, 4), [part(0, 4), part(0, 1, LATER)]) is UNKNOWN
    assert compare(entry(1), row(2, 4), [part(2, 4), part(0, 1, LATER)]) is OLDER
    version, row_of_a_file = Accepted(10, 19, J, part(4, 5)), Accepted(0, 9)
    assert compare(version, row_of_a_file, [part(0, 1)]) is NEWER
    assert compare(version, row_of_a_file, [part(0, 1, LATER)]) is UNKNOWN


@pytest.mark.parametrize(
    ("of_row", "archived", "expected"),
    [
        (row(1, 2), (part(1, 5),), False),
        (row(0, 2), (part(0, 5),), True),  # it lies around what is missing
        (row(0, 2), (part(0, 5), part(6, 7)), False),
        (row(0, 2), (part(0, 2), part(3, 5)), True),
        (row(0, 2), (part(0, 2), part(2, 4)), True),
        (row(0, 2, BEFORE), (part(1, 5),), True),
        (row(0, 2, journal="another"), (part(1, 5),), True),
        (FILE, (part(1, 5),), True),
    ],
)
def test_what_may_lie_between_a_row_and_an_entry_that_says_the_same(
    of_row: Accepted, archived: tuple[EntryRange, ...], expected: bool
) -> None:
    assert may_lie_between(of_row, entry(5), archived) is expected


def test_ranges_are_whole_if_they_have_every_entry_that_was_added_up_to_their_end() -> None:
    entry_range = EntryRange(NOW, EntryId(0, 0), EntryId(5, 5), "", 4)
    assert is_complete([entry_range], 4)
    assert not is_complete([entry_range], 3)
    assert not is_complete([], 3)
    assert not is_complete([entry_range._replace(added=None)], 4)
    behind_a_gap = entry_range._replace(after=EntryId(7, 0), last=EntryId(9, 0), added=6)
    assert is_complete([entry_range, behind_a_gap], 6)
    assert not is_complete([entry_range, behind_a_gap], 5)


@pytest.mark.parametrize(
    ("version", "row", "expected"),
    [
        ((10, 22), (0, 12), NEWER),  # the earlier poll began at 10, and ended at 12
        ((0, 12), (10, 22), OLDER),
        ((0, 12), (0, 22), UNKNOWN),  # two at once
        ((0, 22), (10, 12), UNKNOWN),
    ],
)
def test_two_samples_of_one_key_are_ordered_by_their_polls(
    version: tuple[int, int], row: tuple[int, int], expected: Order
) -> None:
    assert compare(Accepted(*version, sampled=True), Accepted(*row, sampled=True)) is expected
    for one in (True, False):  # one of another origin
        assert compare(Accepted(*version, sampled=one), Accepted(*row, sampled=not one)) is UNKNOWN
