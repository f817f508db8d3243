"""The report on a period: every fill that reached the archive, with its batch and run."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from trading_data.analytics import compliance
from trading_data.archive.quarantine.queries import discard, listing, retry
from trading_data.datasets import TRADE
from trading_data.errors import BadInput
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, fill

END = MOMENT + timedelta(minutes=10)
BATCH = ["origin", "snapshot_run", "load_run", "drained_at", "archived_at", "content_hash"]


def account(rig: Rig) -> pd.DataFrame:
    return compliance(rig.archive, MOMENT, END)


def values_of(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Values of columns, None for missing ones."""
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame[list(names)].itertuples(index=False, name=None)
    ]


def ids(rig: Rig) -> list[str]:
    return [entry_id.decode() for entry_id, _ in rig.client.xrange("journal:trade")]  # type: ignore[union-attr]


def archive(rig: Rig) -> int:
    rig.snapshot(TRADE, run_id="drain")
    (loaded,) = rig.load(TRADE)
    return loaded.batch_id


def broken(rig: Rig, **changed: str) -> str:
    fields = {"order_id": "o9", "execution_id": "e", "timestamp": MOMENT.isoformat(), "symbol": "AAPL", "side": "buy"}
    numbers = {"quantity": "1", "price": "2.50", "commission": "0", "strategy": "s", "source": "test"}
    return rig.entry("journal:trade", {**fields, **numbers, **changed})


def test_each_fill_of_the_period_with_its_batch_and_run(rig: Rig) -> None:
    rig.store.record_trades([fill("before", minute=-1), fill("o1"), fill("o2", minute=9), fill("after", minute=10)])
    first = archive(rig)
    rig.store.record_trades([fill("o3", minute=1, price=Decimal("0.000000000000000001"))])
    second = archive(rig)
    entries = ids(rig)
    report = account(rig)
    assert values_of(report, "order_id", "batch_id", "state") == [
        ("o1", first, "current"),
        ("o3", second, "current"),
        ("o2", first, "current"),
    ]
    assert set(TRADE.names) <= set(report.columns)
    assert report["price"].tolist() == [Decimal("11.25"), Decimal("0.000000000000000001"), Decimal("11.25")]
    assert values_of(report, "journal", "first_entry", "last_entry", "entries", "entry_id") == [
        ("journal:trade", entries[0], entries[3], 4, None),
        ("journal:trade", entries[4], entries[4], 1, entries[4]),
        ("journal:trade", entries[0], entries[3], 4, None),
    ]
    ledger = rig.query(f"select {', '.join(BATCH)} from archive_ledger order by batch_id")
    assert values_of(report, *BATCH) == [ledger[0], ledger[1], ledger[0]]
    assert values_of(report, "snapshot_run", "load_run") == [("drain", "test")] * 3


def test_replaced_versions_with_what_replaced_them_and_when(rig: Rig) -> None:
    rig.store.record_trades([fill(price=Decimal(1))])
    first = archive(rig)
    rig.store.record_trades([fill(price=Decimal(2)), fill(price=Decimal(3)), fill(price=Decimal(3))])
    rig.store.record_trades([fill("after", minute=10, price=price) for price in (Decimal(1), Decimal(2))])
    second = archive(rig)
    report = account(rig)
    assert values_of(report, "state", "price", "batch_id", "replaced_by") == [
        ("replaced", Decimal(1), first, second),
        ("replaced", Decimal(2), second, second),
        ("current", Decimal(3), second, None),
    ]
    moments = [row[0] for row in rig.query("select replaced_at from archive_revision order by revision_id")]
    assert len(moments) == 3
    assert set(report["replaced_at"][:2]) <= set(moments)
    assert pd.isna(report["replaced_at"][2])


def test_rejected_fills_are_in_the_account_until_they_are_rows(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1")])
    again = broken(rig, order_id="o2", execution_id="e2", quantity="-2")
    bad = broken(rig, quantity="-1")
    unreadable = broken(rig, timestamp="yesterday", price="cheap\x00\ud8ff".encode("utf-8", "surrogatepass"))  # type: ignore[arg-type]
    broken(rig, timestamp=END.isoformat(), side="short")
    batch_id = archive(rig)
    report = account(rig)
    assert values_of(report, "state", "order_id", "execution_id", "entry_id", "kind", "quantity", "price") == [
        ("current", "o1", "e1", None, None, Decimal(10), Decimal("11.25")),
        ("quarantined", "o2", "e2", again, "negative", Decimal(-2), Decimal("2.5")),
        ("quarantined", "o9", "e", bad, "negative", Decimal(-1), Decimal("2.5")),
        ("quarantined", "o9", "e", unreadable, "not a time", Decimal(1), None),
    ]
    assert set(report["batch_id"]) == {batch_id}
    assert report["payload"].notna().tolist() == [False, True, True, True]
    assert pd.isna(report["timestamp"][3])
    waiting = {entry.entry_id: entry.quarantine_id for entry in listing(rig.archive, TRADE, None, 10)}
    discard(rig.archive, [waiting[again]], "reported twice")
    retry(rig.archive, rig.intake, ids=[waiting[bad]], earliest=EARLIEST, edits={"quantity": "1"})
    assert account(rig)["state"].tolist() == ["current", "discarded", "quarantined", "quarantined"]
    rig.load(TRADE)
    after = account(rig)
    assert values_of(after, "state", "order_id", "origin", "entry_id") == [
        ("current", "o1", "journal", None),
        ("discarded", "o2", "journal", again),
        ("current", "o9", "quarantine", bad),
        ("quarantined", "o9", "journal", unreadable),
    ]
    assert after["reason"][1].endswith("; discarded: reported twice")


def test_every_accepted_entry_is_accounted_for(rig: Rig) -> None:
    """Rows, replaced versions, rejected ones and repeats: as many as there are entries in the journal."""
    for at in range(3):
        rig.store.record_trades(
            [fill(f"o{minute}", minute=minute, price=Decimal(10 + at % 2)) for minute in range(at, 5)]
        )
        broken(rig, price="x", order_id=f"bad{at}")
        archive(rig)
    report = account(rig)
    repeats = rig.account(TRADE).unchanged
    assert len(report) + repeats == rig.accepted(TRADE)


def test_a_row_whose_batch_is_unknown_is_shown_all_the_same(rig: Rig) -> None:
    rig.store.record_trades([fill()])
    batch_id = archive(rig)
    rig.query("delete from archive_ledger returning 1")
    assert values_of(account(rig), "state", "batch_id", "origin", "journal") == [("current", batch_id, None, None)]


def test_an_empty_period(rig: Rig) -> None:
    empty = account(rig)
    rig.store.record_trades([fill(), fill(price=Decimal(2))])
    broken(rig, side="short")
    archive(rig)
    assert empty.empty
    assert empty.dtypes.to_dict() == account(rig).dtypes.to_dict()
    with pytest.raises(BadInput, match="is after end"):
        compliance(rig.archive, END, MOMENT)
    with pytest.raises(BadInput, match="no time zone"):
        compliance(rig.archive, "2026-11-20T00:00:00", END)
