"""Pages read by counting lines say what a reader of the protocol says, or nothing; and draining them loses nothing."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading_data.intake import resp_scan
from trading_data.intake.resp_scan import Irregular
from trading_data.live.journal import BEGINNING, EntryId, ReadRange
from trading_data.live.journal_reader import JournalPage, pages
from trading_data_tests.intake.drains import Entry, by_journal, drained, everything, in_declared_order, one_by_one
from trading_data_tests.rig import Rig, bar

PLAIN = [(b"1763908800000-%d" % at, [b"open", b"1.%d" % at, b"close", b"", b"source", b"a" * at]) for at in range(12)]
"""Entries of one shape, with empty values and long ones."""
NAMES = [b"open", b"close", b"source"]
MIMIC = b"1\r\n$5\r\nclose\r\n$1\r\n2"
"""A value that looks like the end of a value, a name, and a value."""
NUMBERS = [b"\r\n*99999999999999", b"\r\n*" + b"9" * 5000]
"""Values that look like the beginning of a reply with very many entries."""
TAIL = b"x\r\n*2\r\n$3\r\n9-9\r\n"
"""A value that looks like the beginning of an entry."""


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def reply(entries: Sequence[Entry]) -> bytes:
    parts = [b"*%d\r\n" % len(entries)]
    for entry_id, fields in entries:
        parts += [b"*2\r\n", bulk(entry_id), b"*%d\r\n" % len(fields), *map(bulk, fields)]
    return b"".join(parts)


def page(*replies: Sequence[Entry], ends: bytes | None = None) -> JournalPage:
    asked = tuple(
        (ReadRange(f"journal:price:{at}", BEGINNING, BEGINNING, 1), len(reply)) for at, reply in enumerate(replies)
    )
    return JournalPage(0, asked, b"".join(map(reply, replies)), ends)


def as_entries(columns: resp_scan.Columns, names: Sequence[bytes]) -> list[Entry]:
    values = [value.to_pylist() for value in columns.values]
    return [
        (entry_id, [part for name, value in zip(names, row, strict=True) for part in (name, value)])
        for entry_id, *row in zip(columns.ids.to_pylist(), *values, strict=True)
    ]


def test_entries_of_one_shape_are_read_by_counting_lines() -> None:
    found = resp_scan.columns([page(PLAIN[:3], [], PLAIN[3:7]), page(PLAIN[7:], ends=PLAIN[-1][0])], NAMES)
    assert found.counts == [3, 0, 4, 5]
    assert as_entries(found, NAMES) == PLAIN
    again = resp_scan.columns([page(PLAIN)], NAMES[::-1])
    assert again.values == found.values[::-1]


_parts = st.sampled_from(
    [b"", b"1", b"close", b"\r\n", b"\n", b"$1\r\n", b"*2\r\n$", b"-", b"\x00", b"x" * 98, MIMIC, *NUMBERS]
)
_values = st.lists(_parts, max_size=3).map(b"".join)
_names = st.lists(st.sampled_from([b"open", b"close", b"source", b"a", b"\r\n"]), min_size=0, max_size=3)
_ids = st.integers(0, 3).map(lambda at: b"176390880000%d-0" % at)


@st.composite
def _entries(draw: st.DrawFn) -> list[list[Entry]]:
    shape = draw(_names)
    found: list[list[Entry]] = []
    for _ in range(draw(st.integers(1, 3))):
        names = [shape if draw(st.integers(0, 9)) else draw(_names) for _ in range(draw(st.integers(0, 3)))]
        found.append([(draw(_ids), [part for name in one for part in (name, draw(_values))]) for one in names])
    return found


@given(_entries())
@example([[(b"1-1", [b"open", b"1"]), (b"1-2", [b"shut", b"2"])]])
@example([[(b"1-1", [b"open", b"1"]), (b"1-2", [b"a_name_that_is_long", b"2"])]])
@example([[(b"1-1", [b"open", MIMIC]), (b"1-2", [b"open", b"1"])]])
@example([[(b"1-1", [b"open", b"1", b"close", b"2"]), (b"1-2", [b"open", MIMIC])]])
@example([[(b"1-1", [b"open", NUMBERS[0]])], [(b"1-1", [b"open", b"1"])]])
@example([[(b"1-1", [b"open", NUMBERS[1]])], [(b"1-1", [b"open", b"1"])]])
def test_they_say_what_a_reader_says_or_nothing(replies: list[list[Entry]]) -> None:
    one = page(*replies)
    assert [
        [(entry_id, list(fields)) for entry_id, fields in found.entries] for found in resp_scan.by_reader([one])
    ] == [[(entry_id, fields) for entry_id, fields in entries] for entries in replies]
    everything = [entry for entries in replies for entry in entries]
    names = everything[0][1][::2] if everything else []
    try:
        found = resp_scan.columns([one], names)
    except Irregular:
        return
    assert found.counts == [len(entries) for entries in replies]
    assert as_entries(found, names) == everything


@pytest.mark.parametrize(
    ("true", "forged"),
    [
        (b"$3\r\n1.7", b"$4\r\n1.7"),
        (b"$2\r\naa\r\n", b"$2\r\naa \n"),
        (b"$4\r\nopen\r\n$3\r\n1.7", b"$4\r\nopen\r\n$x\r\n1.7"),
    ],
)
def test_bytes_that_no_server_sends_are_refused(true: bytes, forged: bytes) -> None:
    one = page(PLAIN)
    assert one.data.count(true) == 1
    with pytest.raises(Irregular):
        resp_scan.columns([replace(one, data=one.data.replace(true, forged))], NAMES)


@pytest.mark.parametrize("ends", [b"1-1", b""])
def test_a_page_that_ends_elsewhere_is_refused_by_both(ends: bytes) -> None:
    one = page(PLAIN, ends=ends)
    with pytest.raises(Irregular):
        resp_scan.columns([one], NAMES)
    with pytest.raises(Irregular):
        resp_scan.by_reader([one])
    with pytest.raises(Irregular):
        resp_scan.by_reader([page([], ends=ends)])


@pytest.mark.parametrize(("size", "rows"), [(10_000, 300), (7, 3), (1, 1)])
@pytest.mark.parametrize("odd", ["", "other order", "field missing", "line feed", "tail"])
def test_draining_finds_every_entry_once_and_in_order(rig: Rig, odd: str, size: int, rows: int) -> None:
    rig.store.record_prices([bar(symbol, minute) for symbol in "ABCDE" for minute in range(5)])
    fields = {"timestamp": "x", "open": "1", "high": "1", "low": "1", "close": "1", "volume": "1", "source": "s"}
    changed = {
        "": fields,
        "other order": dict(reversed(fields.items())),
        "field missing": {"open": "1"},
        "line feed": fields | {"source": "a\r\nb"},
        "tail": fields | {"source": TAIL.decode()},
    }[odd]
    rig.entry("journal:price:B", changed)
    rig.store.record_prices([bar(symbol, minute) for symbol in "AB" for minute in range(5, 9)])
    wanted = one_by_one(rig.client)
    assert sum(map(len, wanted.values())) == 34
    found = by_journal(everything(rig.client, size, rows))
    assert found == {name: [(one, in_declared_order(values)) for one, values in some] for name, some in wanted.items()}


def test_more_and_fewer_entries_than_expected(rig: Rig) -> None:
    ids = rig.store.record_prices([bar("A", minute) for minute in range(9)])
    rig.client.xdel("journal:price:A", ids[4])
    wanted = one_by_one(rig.client)
    assert by_journal(everything(rig.client, 10_000, 3)) == wanted
    assert by_journal(everything(rig.client, 10_000, 3, expected=1)) == wanted
    rig.client.delete("journal:price:A")
    gone = [ReadRange("journal:price:A", BEGINNING, EntryId.parse(ids[-1]), 9)]
    assert list(drained(rig.client, lambda: gone, 10, 3)) == []


def test_a_journal_of_another_type_keeps_no_other_from_being_drained(rig: Rig) -> None:
    (entry,) = rig.store.record_prices([bar("A")])
    rig.client.set("journal:price:B", "x")
    asked = [ReadRange(f"journal:price:{name}", BEGINNING, EntryId.parse(entry), 1) for name in "AB"]
    (block,) = drained(rig.client, iter([asked, [], []]).__next__, 10, 10)
    assert (block.journals, block.counts) == (["journal:price:A"], [1])
    assert len(list(pages(rig.client, asked, 1))) == 2


@pytest.mark.parametrize("other", ["of another type", "gone"])
def test_a_journal_without_entries_beside_an_odd_one_leaves_no_trace(rig: Rig, other: str) -> None:
    """A range of a journal that gave nothing would be noted with its neighbour's ids."""
    rig.entry("journal:price:A", {"open": "1"})
    rig.store.record_prices([bar("C")])
    if other == "of another type":
        rig.client.set("journal:price:B", "x")
    upto = EntryId(2**63, 0)
    # Every other stretch is of one lane, so that A, B and C share a page; D and E are not there.
    asked = [ReadRange(f"journal:price:{name}", BEGINNING, upto, 1) for name in ("A", "D", "B", "E", "C")]
    (block,) = drained(rig.client, iter([asked, asked, []]).__next__, 10, 10)
    assert (block.journals, block.counts) == (["journal:price:A", "journal:price:C"], [1, 1])
