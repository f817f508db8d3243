"""Fills: one row an order and execution, whatever moment each reports, through every door and in any order."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data import Fill
from trading_data.analytics.provenance import provenance
from trading_data.archive.aggregates.compare import differences
from trading_data.archive.quarantine.queries import retry, retry_no_longer_rejected
from trading_data.archive.verify.run import verify
from trading_data.datasets import TRADE
from trading_data.errors import ArchiveTierError, BadInput
from trading_data.intake.import_rows import import_rows
from trading_data.operations.maintenance.compression import compress_aged
from trading_data.times import DAY, day_start
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, fill, refuse

START, END = day_start(MOMENT.date()) - DAY, day_start(MOMENT.date()) + 3 * DAY
MICROSECOND = timedelta(microseconds=1)
MIDNIGHT = day_start(MOMENT.date()) + DAY
Facts = set[tuple[Any, ...]]


def of(execution: str, order: str = "o1", after: timedelta = timedelta(0), **values: Any) -> Fill:
    """A fill so long after MOMENT."""
    return fill(order, execution, timestamp=MOMENT + after, **values)


def facts(fills: Sequence[Fill]) -> Facts:
    return {(fill.order_id, fill.execution_id, fill.timestamp, fill.price) for fill in fills}


def shown(rig: Rig, start: Any = START, end: Any = END) -> Facts:
    frame = rig.reader.trades(None, start, end)
    rows = [tuple(row) for row in frame[["order_id", "execution_id", "timestamp", "price"]].itertuples(index=False)]
    assert len(set(rows)) == len(rows)
    return set(rows)


def by_file(rig: Rig, *fills: Fill) -> None:
    """Drain the journals, then import a file."""
    rig.snapshot(TRADE)
    import_file(rig, *fills)


def import_file(rig: Rig, *fills: Fill) -> None:
    table = pa.table({name: [getattr(fill, name) for fill in fills] for name in TRADE.names})
    list(import_rows(rig.intake, TRADE, "fills.csv", [table], origin="file", earliest=EARLIEST))


def by_journal(rig: Rig, *fills: Fill) -> None:
    rig.store.record_trades(fills)


def by_retry(rig: Rig, *fills: Fill) -> None:
    """As an earlier release had refused them."""
    refuse(rig, *fills)
    retry_no_longer_rejected(rig.archive, rig.intake, TRADE, earliest=EARLIEST)


def settled(rig: Rig) -> None:
    """All is archived: nothing waits or is wrong, and the aggregate is what the rows give."""
    rig.archive_all(TRADE)
    assert [
        finding.message for finding in verify(rig.client, rig.archive, rig.intake, deep=True) if not finding.ok
    ] == []
    assert differences(rig.archive, TRADE, TRADE.aggregates[0], START, END) == []


def compress(rig: Rig) -> None:
    list(compress_aged(rig.archive, TRADE, MOMENT + 100 * DAY))


def test_forty_fills_of_one_millisecond_and_two_orders(rig: Rig) -> None:
    fills = [of(f"e{at}", order, quantity=Decimal(at + 1)) for at in range(40) for order in ("o1", "o2")]
    by_journal(rig, *fills[:30])
    rig.snapshot(TRADE)
    assert shown(rig) == facts(fills[:30])
    rig.load(TRADE)
    by_journal(rig, *fills[20:70])
    rig.snapshot(TRADE)
    by_journal(rig, *fills[60:])
    for _ in range(2):
        assert shown(rig) == facts(fills)
        daily = rig.reader.trades(None, START, END, "1d")
        assert (daily["fills"].tolist(), daily["quantity"].tolist()) == ([80], [Decimal(2 * 820)])
        settled(rig)
    assert rig.query("select count(distinct timestamp), count(reported) from trade_data where order_id = 'o1'") == [
        (40, 39)
    ]
    assert rig.account(TRADE).quarantined == 0


@pytest.mark.parametrize("doors", list(permutations((by_journal, by_file, by_retry))))
def test_every_door_in_every_order(rig: Rig, doors: Sequence[Any]) -> None:
    parts = {
        by_journal: [of("a"), of("b")],
        by_file: [of("c"), of("d", after=MICROSECOND)],
        by_retry: [of("e"), of("f")],
    }
    brought: list[Fill] = []
    for door in doors:
        door(rig, *parts[door])
        brought += parts[door]
        assert shown(rig) == facts(brought)
        settled(rig)
        assert shown(rig) == facts(brought)
    assert rig.query("select count(*) from archive_quarantine where settled is null") == [(0,)]
    for door in doors:
        if door is not by_retry:
            door(rig, *parts[door])
    settled(rig)
    assert shown(rig) == facts(brought)


def test_at_the_end_of_a_day_and_of_a_range(rig: Rig) -> None:
    last = MIDNIGHT - MOMENT - MICROSECOND
    fills = [of(name, after=last) for name in "abc"] + [
        of("d", after=last - MICROSECOND),
        of("e", after=last + MICROSECOND),
    ]
    by_journal(rig, *fills[:2])
    settled(rig)
    by_journal(rig, *fills[2:])
    for _ in range(2):
        assert shown(rig, MIDNIGHT - MICROSECOND, MIDNIGHT) == facts(fills[:3])
        assert shown(rig, START, MIDNIGHT - MICROSECOND) == facts(fills[3:4])
        assert shown(rig, MIDNIGHT, END) == facts(fills[4:])
        assert rig.reader.trades(None, START, END, "1d")["fills"].tolist() == [4, 1]
        streamed = rig.reader.stream("trades", None, START, END, rows=1)
        assert sorted(name for part in streamed for name in part["execution_id"]) == list("abcde")
        settled(rig)


def test_a_correction_of_the_moment_moves_the_row(rig: Rig) -> None:
    by_journal(rig, of("a"), of("b"), of("c", after=timedelta(minutes=5)))
    settled(rig)
    before = rig.query("select max(archived_at) from archive_ledger")[0][0]
    corrected = [of("b", after=timedelta(minutes=5)), of("a", price=Decimal(7)), of("c", after=timedelta(minutes=6))]
    by_journal(rig, *corrected)
    for _ in range(2):
        assert shown(rig) == facts(corrected)
        assert shown(rig, MOMENT, MOMENT + MICROSECOND) == facts(corrected[1:2])
        settled(rig)
    assert rig.account(TRADE).replaced == 3
    known = rig.reader.read(TRADE, None, START, END, as_of=before)
    assert known["timestamp"].tolist() == [MOMENT, MOMENT, MOMENT + timedelta(minutes=5)]
    assert known["execution_id"].tolist() == ["a", "b", "c"]
    versions = provenance(rig.archive, TRADE, "o1", MOMENT, identity="b").versions
    assert [version.values["timestamp"] for version in versions] == [MOMENT, MOMENT + timedelta(minutes=5)]
    with pytest.raises(BadInput, match=r"has 2 fills of o1 at 2026-11-20T15:00:00.*identity, of a, b"):
        provenance(rig.archive, TRADE, "o1", MOMENT)


@pytest.mark.parametrize("packed", [(), (0,), (1,), (0, 1)])
def test_a_correction_of_the_day_moves_the_row(rig: Rig, packed: Sequence[int]) -> None:
    """From or to a compressed day, or neither; the moment there is another fill's."""
    days = [[of("a"), of("b"), of("c")], [of("d", after=DAY), of("e", after=DAY)]]
    for number in (0, 1):
        by_journal(rig, *days[number])
        settled(rig)
        if number in packed:
            compress(rig)
    before = rig.query("select max(archived_at) from archive_ledger")[0][0]
    moved = [of("a", after=DAY), of("b", after=DAY, price=Decimal(7))]
    by_journal(rig, *moved)
    now_shown = facts([*moved, *days[0][2:], *days[1]])
    for _ in range(2):
        assert shown(rig) == now_shown
        assert shown(rig, START, MIDNIGHT) == facts(days[0][2:])
        assert shown(rig, MIDNIGHT, END) == facts([*moved, *days[1]])
        assert rig.reader.trades(None, START, END, "1d")["fills"].tolist() == [1, 4]
        settled(rig)
    assert (rig.account(TRADE).replaced, rig.account(TRADE).quarantined) == (2, 0)
    for low, high, fills in ((START, MIDNIGHT, days[0]), (MIDNIGHT, END, days[1]), (START, END, days[0] + days[1])):
        known = rig.reader.read(TRADE, None, low, high, as_of=before)
        assert {(name, at) for name, at in zip(known["execution_id"], known["timestamp"], strict=True)} == {
            (fill.execution_id, fill.timestamp) for fill in fills
        }
    for moment in (MOMENT, MOMENT + DAY):
        versions = provenance(rig.archive, TRADE, "o1", moment, identity="b").versions
        assert [(version.values["timestamp"], version.replaced_by is None) for version in versions] == [
            (MOMENT, False),
            (MOMENT + DAY, True),
        ]
    by_journal(rig, *days[0][:2])  # and back
    settled(rig)
    assert shown(rig) == facts([*days[0], *days[1]])
    assert rig.reader.trades(None, START, END, "1d")["fills"].tolist() == [3, 2]


def test_the_last_fill_of_a_day_leaves_it(rig: Rig) -> None:
    by_journal(rig, of("a"), of("b", "o2", after=DAY))
    settled(rig)
    by_journal(rig, of("a", after=DAY))
    settled(rig)
    daily = rig.reader.trades(None, START, END, "1d")
    assert (daily["bucket"].tolist(), daily["fills"].tolist()) == ([MIDNIGHT], [2])
    assert rig.query("select day, rows from archive_coverage") == [(MIDNIGHT.date(), 2)]
    days = rig.query("select days from archive_ledger order by batch_id desc limit 1")[0][0]
    none = {"inserted": 0, "unchanged": 0, "quarantined": 0}
    assert days == {
        str(MOMENT.date()): {**none, "replaced": 0, "moved": -1},
        str(MIDNIGHT.date()): {**none, "replaced": 1, "moved": 1},
    }


def test_a_moved_fill_is_corrected_where_it_was_moved_to(rig: Rig) -> None:
    """Its order had no other fill on that day, so only the move can have recorded the day."""
    by_journal(rig, of("a"), of("b", "o2", after=DAY))
    settled(rig)
    for days in (1, 2):
        by_journal(rig, of("a", after=days * DAY))
        settled(rig)
    assert shown(rig) == facts([of("a", after=2 * DAY), of("b", "o2", after=DAY)])
    assert rig.account(TRADE).replaced == 2


def test_one_batch_says_two_days_of_an_execution(rig: Rig) -> None:
    by_journal(rig, of("a"), of("b", after=2 * DAY), of("a", after=DAY), of("a", after=2 * DAY, price=Decimal(3)))
    for _ in range(2):
        assert shown(rig) == facts([of("b", after=2 * DAY), of("a", after=2 * DAY, price=Decimal(3))])
        settled(rig)
    assert (rig.account(TRADE).inserted, rig.account(TRADE).replaced) == (2, 2)
    versions = provenance(rig.archive, TRADE, "o1", MOMENT, client=rig.client).versions
    assert [version.values["timestamp"] for version in versions] == [MOMENT, MOMENT + DAY, MOMENT + 2 * DAY]


def test_an_older_version_that_waits_does_not_show_on_its_day(rig: Rig, tmp_path: Path) -> None:
    by_journal(rig, of("a"), of("b", after=DAY))
    settled(rig)
    by_journal(rig, of("a", after=DAY))
    (drained,) = rig.snapshot(TRADE)
    path = Path(drained.file.path).rename(tmp_path / drained.file.name)
    import_file(rig, of("a", after=timedelta(minutes=1)))  # a snapshot would drain the entry of the absent batch again
    rig.load(TRADE)
    path.rename(drained.file.path)
    for _ in range(2):
        assert shown(rig, MIDNIGHT, END) == facts([of("b", after=DAY)])
        assert shown(rig) == facts([of("a", after=timedelta(minutes=1)), of("b", after=DAY)])
        settled(rig)
    assert (rig.account(TRADE).replaced, rig.account(TRADE).quarantined) == (2, 0)


def test_what_was_refused_for_its_day_is_taken(rig: Rig) -> None:
    """By a release before 013_said_again_and_moves.sql; a newer version came meanwhile for one of them."""
    by_journal(rig, of("a"), of("b"))
    settled(rig)
    refuse(rig, of("a", after=DAY), of("b", after=DAY))
    rig.query("update archive_quarantine set kind = 'another day' returning 1")
    by_journal(rig, of("b", price=Decimal(9)))
    settled(rig)
    assert len(retry_no_longer_rejected(rig.archive, rig.intake, TRADE, earliest=EARLIEST).batches) == 1
    settled(rig)
    assert shown(rig) == facts([of("a", after=DAY), of("b", price=Decimal(9))])
    assert rig.query("select count(*) from archive_quarantine where settled is null") == [(0,)]


def test_a_row_that_is_to_move_is_there_or_nothing_happens(rig: Rig) -> None:
    by_journal(rig, of("a"))
    settled(rig)
    gone = f'[{{"order_id": "o1", "execution_id": "z", "was": "{MOMENT.isoformat()}", "batch_id": 9}}]'
    with pytest.raises(ArchiveTierError, match="1 fills were to be moved, 0 were there"):
        rig.query("select move_trade_data(%s::jsonb)", gone)
    assert shown(rig) == facts([of("a")])


def test_what_an_earlier_release_refused_is_taken(rig: Rig) -> None:
    by_journal(rig, of("a"))
    settled(rig)
    refuse(rig, of("b"))
    ((number,),) = rig.query("select quarantine_id from archive_quarantine")
    retry(rig.archive, rig.intake, ids=[number], earliest=EARLIEST)
    assert len(retry_no_longer_rejected(rig.archive, rig.intake, TRADE, earliest=EARLIEST).batches) == 1
    settled(rig)
    assert shown(rig) == facts([of("a"), of("b")])
    assert retry_no_longer_rejected(rig.archive, rig.intake, TRADE, earliest=EARLIEST).batches == ()


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["o1", "o2"]),
        st.sampled_from("abc"),
        st.sampled_from([-1, 0, 1, 2, 60_000_000, round(DAY / MICROSECOND)]),
        st.sampled_from([1, 2]),
    ),
    min_size=1,
    max_size=5,
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["journal", "file", "snapshot", "archive", "compress", "load"]), ENTRIES), max_size=8
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_as_a_plain_dict(rig: Rig, steps: list[tuple[str, list[Any]]]) -> None:
    """The newest values of each order and execution."""
    rig.clean()
    known: dict[tuple[str, str], Fill] = {}
    for step, entries in steps:
        fills = [of(name, order, after * MICROSECOND, price=Decimal(price)) for order, name, after, price in entries]
        if step in ("journal", "file"):
            {"journal": by_journal, "file": by_file}[step](rig, *fills)
            for fill in fills:
                known[fill.order_id, fill.execution_id] = fill
        else:
            _do(rig, step)
        assert shown(rig) == facts(list(known.values()))
        low = MOMENT + MICROSECOND
        assert shown(rig, low, END) == {fact for fact in facts(list(known.values())) if fact[2] >= low}
    settled(rig)
    assert shown(rig) == facts(list(known.values()))


def _do(rig: Rig, step: str) -> None:
    if step == "snapshot":
        rig.snapshot(TRADE)
    elif step == "load":
        rig.load(TRADE)
    elif step == "archive":
        settled(rig)
    else:
        compress(rig)
