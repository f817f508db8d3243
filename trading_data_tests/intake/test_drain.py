"""Draining hostile and huge entries: every one arrives once, in order, in blocks and pages that are bounded in bytes."""

import hashlib
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import hiredis
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trading_data.datasets import METRICS, PRICE
from trading_data.errors import LiveTierError
from trading_data.intake import drain as drain_module
from trading_data.intake import entries as entries_module
from trading_data.intake.entries import CUT, Block, Entries, to_table
from trading_data.intake.poll_latest import poll_latest
from trading_data.live import journal_reader as pages_module
from trading_data.live.journal import BEGINNING, EntryId, Reading, ReadRange
from trading_data.live.journal_reader import pages
from trading_data_tests.intake import hostile
from trading_data_tests.intake.drains import Entry, by_journal, drained, everything, in_declared_order
from trading_data_tests.intake.hostile import FIELDS, TAILS, good, id_at
from trading_data_tests.rig import EARLIEST, Rig

PAGE_ROWS = (1, 2, 3, 4, 5, 40)


def check(rig: Rig, wanted: dict[str, list[Entry]], size: int, rows: int) -> None:
    """Drain everything: all entries once and in order, the good ones as columns and the odd ones whole, with a reason."""
    blocks = everything(rig.client, size, rows)
    ordered = {name: [(one, in_declared_order(fields)) for one, fields in some] for name, some in wanted.items()}
    assert by_journal(blocks) == ordered
    for block in blocks:
        shapes = [sorted(block.fields(at)[::2]) == sorted(FIELDS) for at in range(len(block))]
        assert [at not in block.odd for at in range(len(block))] == shapes
        table = to_table(PRICE, block, EARLIEST).to_pydict()
        for at, (kind, payload) in enumerate(zip(table["_kind"], table["_payload"], strict=True)):
            assert at not in block.odd or kind == block.odd[at].kind
            if kind is not None:
                pairs = [
                    part.encode("utf-8", "surrogateescape") for pair in json.loads(payload)["fields"] for part in pair
                ]
                assert pairs == block.fields(at)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(journals=hostile.journals(), size=st.sampled_from([1, 3, 1000]), by_pages=st.booleans())
@example(
    journals={name: [good(source=b"x\r\n*99999999999999")] * 3 for name in hostile.NAMES[:5]}, size=1000, by_pages=True
)
@example(
    journals={name: [good(source=b"x\r\n*" + b"9" * 5000)] * 3 for name in hostile.NAMES[:5]}, size=1000, by_pages=True
)
def test_every_entry_arrives_once_and_in_order(
    rig: Rig, journals: dict[bytes, list[list[bytes]]], size: int, *, by_pages: bool
) -> None:
    """The oracle is what was written. Without pages, entries are read as those of a cluster are."""
    rig.client.flushdb()
    wanted = hostile.write(rig.client, journals)
    with pytest.MonkeyPatch.context() as patch:
        if not by_pages:
            patch.setattr(drain_module, "can_page", lambda _: False)
        for rows in PAGE_ROWS:
            check(rig, wanted, size, rows)


@pytest.mark.parametrize("places", [{3}, {4}, {5}, set(range(9))], ids=["first", "middle", "last", "every"])
def test_a_value_that_ends_like_the_protocol(rig: Rig, places: set[int]) -> None:
    """In each place of a page, in a journal that is longer than a page and shares the last one with others."""
    for tail in TAILS:
        rig.client.flushdb()
        entries = [good(source=tail) if at in places else good() for at in range(9)]
        wanted = hostile.write(rig.client, {b"A": entries, b"B": [good()], b"C": entries, b"D": [good()] * 7})
        for rows in PAGE_ROWS:
            check(rig, wanted, 1000, rows)


@pytest.mark.parametrize("name", [b"9-9", b"*2\r\n$", b"\xff", id_at(4), id_at(9)[:-1] + b"5"])
def test_entries_with_one_field(rig: Rig, name: bytes) -> None:
    """The list of their fields looks like the beginning of an entry, and the name of the field like an id."""
    wanted = hostile.write(rig.client, {b"A": [[name, b"x"]] * 9, b"B": [good()] * 9})
    for rows in PAGE_ROWS:
        check(rig, wanted, 1000, rows)


def test_an_entry_with_ten_thousand_fields(rig: Rig) -> None:
    many = [part for at in range(10_000) for part in (b"field %d" % at, b"%d" % at)]
    wanted = hostile.write(rig.client, {b"A": [good(), many, good()], b"B": [good(), many], b"C": [many, good()]})
    for rows in (1, 3, 40):
        check(rig, wanted, 1000, rows)
    (block,) = everything(rig.client, 1000, 40)
    assert max(len(reason.text) for reason in block.odd.values()) < 1000


def test_an_end_that_was_guessed_wrongly_costs_one_block_only(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was yielded before stays so, and from there on ends are parsed."""
    entries = [good() for _ in range(30)]
    entries[19] = good(source=b"x\r\n*2\r\n" + hostile.bulk(id_at(25)))
    wanted = hostile.write(rig.client, {b"A": entries})
    asked: list[tuple[EntryId, bool]] = []

    def listen(client: object, stretches: Sequence[ReadRange], rows: int, *, exact: bool) -> object:
        asked.append((stretches[0].after, exact))
        return pages(rig.client, stretches, rows, exact=exact)

    monkeypatch.setattr(drain_module, "pages", listen)
    assert by_journal(everything(rig.client, 8, 4)) == wanted
    assert asked == [(BEGINNING, False), (EntryId.parse(id_at(16)), True)]


def test_a_snapshot_takes_them_all_and_then_has_nothing_left(rig: Rig) -> None:
    """Each hostile entry stands in quarantine under its id; the good ones between them are rows."""
    entries = [
        fields
        for at, tail in enumerate(TAILS)
        for fields in (good(source=tail), good(timestamp=b"2026-11-20T15:%02d:00Z" % at))
    ]
    hostile.write(rig.client, {b"A": entries, b"B": [good()]})
    assert [(one.rows, one.rejected) for one in rig.snapshot(PRICE, rows_per_pipeline=3)] == [
        (len(TAILS) + 1, len(TAILS))
    ]
    assert rig.snapshot(PRICE) == []
    rig.load(PRICE)
    assert {name for (name,) in rig.query("select entry_id from archive_quarantine")} == {
        id_at(2 * at + 1).decode() for at in range(len(TAILS))
    }
    assert rig.query("select count(*) from price_data") == [(len(TAILS) + 1,)]


def test_a_server_that_refuses_is_an_error_with_its_words(rig: Rig) -> None:
    """And no silence: a journal that cannot be read is not an empty one."""
    hostile.write(rig.client, {b"A": [good()]})
    beyond = [ReadRange("journal:price:A", EntryId(2**64, 0), EntryId(2**64, 1), 1)]
    with pytest.raises(LiveTierError, match="Invalid stream ID"):
        list(drained(rig.client, lambda: beyond, 10, 3))


def test_a_long_journal_that_vanished_keeps_no_other_from_being_guessed(rig: Rig) -> None:
    """Its reply is empty, and the last id in the page is another journal's."""
    hostile.write(rig.client, {b"A": [good()]})
    upto = EntryId.parse(id_at(9))
    expected = {"A": 8, "X": 1, "B": 99}  # A and B are of one lane
    asked = [ReadRange(f"journal:price:{name}", BEGINNING, upto, count) for name, count in expected.items()]
    page, _ = pages(rig.client, asked, 20)
    assert [one.journal for one, _ in page.asked] == ["journal:price:A", "journal:price:B"]
    assert page.ends is None


# Bounds in bytes.


def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bounds: pages of 10 kB, thrown away beyond 50 kB, and blocks of 100 kB."""
    monkeypatch.setattr(pages_module, "PAGE_BYTES", 10_000)
    monkeypatch.setattr(pages_module, "MOST_BYTES", 50_000)
    monkeypatch.setattr(drain_module, "BLOCK_BYTES", 100_000)


def held(block: Block) -> int:
    return sum(len(part) for at in range(len(block)) for part in block.fields(at))


MIXES = {
    "all large": [9_000] * 60,
    "suddenly large": [10] * 100 + [9_000] * 60,
    "now and then": ([10] * 7 + [60_000]) * 8,
    "larger than a block": [150_000, 10, 150_000, 10, 10, 150_000],
}


@pytest.mark.parametrize("by_pages", [False, True])
@pytest.mark.parametrize("mix", MIXES)
def test_blocks_are_bounded_in_bytes(rig: Rig, monkeypatch: pytest.MonkeyPatch, mix: str, *, by_pages: bool) -> None:
    """In both ways of reading, for entries of the declared shape and odd ones, in few journals and many."""
    bounded(monkeypatch)
    if not by_pages:
        monkeypatch.setattr(drain_module, "can_page", lambda _: False)
    sizes = MIXES[mix]
    for odd, journals in product((False, True), (1, 3, 30)):
        rig.client.flushdb()
        entries = [[b"blob", b"x" * size] if odd else good(source=b"x" * size) for size in sizes]
        parts = {b"J%d" % at: entries[at::journals] for at in range(journals)}
        wanted = hostile.write(rig.client, {name: part for name, part in parts.items() if part})
        blocks = everything(rig.client, 200_000, 40)
        assert by_journal(blocks) == wanted
        assert all(held(block) <= 100_000 or len(block) == 1 for block in blocks)
        assert len(blocks) <= 2 + 4 * sum(sizes) / 100_000


@pytest.mark.parametrize("mix", MIXES)
def test_pages_are_bounded_in_bytes(rig: Rig, monkeypatch: pytest.MonkeyPatch, mix: str) -> None:
    """None is larger than the most, but one of a single entry; and they come near the bound once the entries are known."""
    bounded(monkeypatch)
    entries = [good(source=b"x" * size) for size in MIXES[mix]]
    hostile.write(rig.client, {b"A": entries})
    found = list(pages(rig.client, [ReadRange("journal:price:A", BEGINNING, EntryId(2**63, 0), len(entries))], 40))
    assert sum(count for one in found for _, count in one.asked) >= len(entries)
    assert all(len(one.data) <= 50_000 or sum(count for _, count in one.asked) == 1 for one in found)
    if mix == "all large":
        assert max(len(one.data) for one in found[1:]) <= 20_000


def test_a_minute_of_many_journals_is_read_in_full_pages(rig: Rig) -> None:
    """What is the same every minute: one small entry of each journal."""
    wanted = hostile.write(rig.client, {b"S%03d" % at: [good()] for at in range(500)})
    stretches = [ReadRange(name, BEGINNING, EntryId(2**63, 0), 1) for name in wanted]
    found = list(pages(rig.client, stretches, 40))
    assert sorted(len(one.asked) for one in found) == [10, 10] + [40] * 12


def test_long_journals_are_read_in_full_pages_after_the_first(rig: Rig) -> None:
    hostile.write(rig.client, {b"A": [good()] * 400})
    found = list(pages(rig.client, [ReadRange("journal:price:A", BEGINNING, EntryId(2**63, 0), 400)], 40))
    assert [sum(count for _, count in one.asked) for one in found] == [8, 32, *[40] * 9]


# Payloads.


def rejected(*entries: list[bytes]) -> list[dict[str, object]]:
    made = Entries()
    made.add(Reading("journal:price:A", [(id_at(at), fields) for at, fields in enumerate(entries)]))
    rows: list[dict[str, object]] = to_table(PRICE, made, EARLIEST).to_pylist()
    return rows


def test_payloads_are_the_same_whatever_pieces_they_are_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        good(),
        [b"a", b"x" * 300],
        good(),
        good(source=b""),
        [b"\xff", b"y" * 300],
        good(),
        [b"b", b"1"],
        good(),
    ]
    whole = rejected(*entries)
    monkeypatch.setattr(entries_module, "_PIECE", 350)
    assert rejected(*entries) == whole
    assert [row["_payload"] is not None for row in whole] == [0, 1, 0, 1, 1, 0, 1, 0]


@pytest.mark.parametrize(
    "fields",
    [good(source=b"x" * 6_000), good(source=b"\xff" * 1_000), [b"a" * 6_000, b"b"], [b"a", b"b"] * 3_000],
)
def test_an_entry_that_is_too_large_for_a_batch_says_where_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, fields: list[bytes]
) -> None:
    """It stands in quarantine under its id, and nothing takes the beginning of it for the entry."""
    monkeypatch.setattr(entries_module, "MOST_PAYLOAD", 5_000)
    monkeypatch.setattr(entries_module, "_CUT_PARTS", 30)
    first, row, last = rejected(good(), fields, good())
    assert (first["_kind"], last["_kind"]) == (None, None)
    assert row["_kind"] is not None
    payload = json.loads(str(row["_payload"]))
    assert payload["id"] == id_at(1).decode()
    digest = hashlib.sha256(b"".join(fields)).hexdigest()
    said = (
        f"{sum(map(len, fields))} bytes in {len(fields) // 2} fields, whole in price/whole/{digest}.resp of the intake"
    )
    assert payload["fields"][0] == [CUT.decode(), said]
    again = [part.encode("utf-8", "surrogateescape") for pair in payload["fields"] for part in pair]
    assert rejected(again)[0]["_kind"] in ("unknown field", "missing field")


def test_an_entry_that_is_too_large_for_a_batch_is_kept_whole_beside_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is the command that adds it again, in Redis' own protocol; it outlives the batch and the journal's entry."""
    monkeypatch.setattr(entries_module, "MOST_PAYLOAD", 5_000)
    fields = [b"odd\xff", b"y" * 6_000]
    rig.client.xadd("journal:metrics", {fields[0]: fields[1]})
    rig.client.hset("stocks:price:A", mapping={"timestamp": b"x" * 6_000})
    rig.archive_all(METRICS)
    poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
    rig.load(PRICE)
    commands = {}
    for name in ("metrics", "price"):
        (path,) = (Path(rig.intake.uri) / name / "whole").iterdir()
        reader = hiredis.Reader()
        reader.feed(path.read_bytes())
        commands[name] = reader.gets()
        ((said,),) = rig.query("select payload::text from archive_quarantine where dataset = %s", name)
        assert f"whole in {name}/whole/{path.name} of the intake" in said
    assert commands["metrics"] == [b"XADD", b"journal:metrics", b"*", *fields]
    assert commands["price"] == [b"XADD", b"journal:price:A", b"*", b"timestamp", b"x" * 6_000]
    assert rig.intake.pending("metrics") == []
