"""Entries of which only the load can tell what becomes of them may fill a gap in an answer, and replace nothing in it."""

from trading_data.archive.quarantine.queries import retry
from trading_data.datasets import METRICS, TRADE
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, fill, measurement, refuse

END = "2026-11-21"


def values(rig: Rig) -> list[float]:
    values: list[float] = rig.reader.metrics(None, MOMENT, END)["value"].tolist()
    return values


def test_a_journal_that_went_back_reads_the_same_before_and_after_its_load(rig: Rig) -> None:
    rig.entry_at("journal:metrics", "5000-0", measurement(minute=0, value=1.0))
    rig.entry_at("journal:metrics", "6000-0", measurement(minute=1, value=1.0))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "3000-0", measurement(minute=0, value=2.0))
    rig.entry_at("journal:metrics", "3001-0", measurement(minute=2, value=3.0))
    for step in (rig.snapshot, rig.load, rig.snapshot):
        assert values(rig) == [2.0, 1.0, 3.0]
        step(METRICS)
    rig.entry_at("journal:metrics", "3002-0", measurement(minute=2, value=4.0))
    rig.entry_at("journal:metrics", "3003-0", measurement(minute=3, value=5.0))
    for step in (rig.snapshot, rig.load, rig.snapshot):
        assert values(rig) == [2.0, 1.0, 4.0, 5.0]
        step(METRICS)
    rig.entry_at("journal:metrics", "7000-0", measurement(minute=2, value=3.0))
    for step in (rig.snapshot, rig.load, rig.snapshot):
        assert values(rig) == [2.0, 1.0, 3.0, 5.0]
        step(METRICS)


def test_entries_that_come_again_do_not_undo_a_correction_which_the_journal_has_lost(rig: Rig) -> None:
    """The archive has 2.0, accepted after 1.0; the journal went back to before it, and on."""
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0, value=1.0))
    rig.entry_at("journal:metrics", "2000-0", measurement(minute=0, value=2.0))
    rig.snapshot(METRICS)
    rig.load(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0, value=1.0))
    rig.entry_at("journal:metrics", "1500-0", measurement(minute=1, value=3.0))
    for step in (rig.snapshot, rig.load, rig.snapshot):
        assert values(rig) == [2.0, 3.0]
        step(METRICS)
    account = rig.account(METRICS)
    assert (account.inserted, account.replaced, account.quarantined, account.replayed) == (2, 1, 0, 1)


def test_an_entry_retried_from_quarantine_replaces_a_newer_row_never(rig: Rig) -> None:
    """A fill waits in quarantine; corrected to be another execution, the row it would undo is newer."""
    rig.store.record_trades([fill("o1", "e1")])
    rig.archive_all(TRADE)
    refuse(rig, fill("o1", "e1", -1500, strategy="old"), fill("o1", "e1", -1501, strategy="old"))
    rig.store.record_trades([fill("o1", "e1", strategy="new")])
    rig.archive_all(TRADE)
    (number,), (other,) = rig.query("select quarantine_id from archive_quarantine order by 1")
    retry(rig.archive, rig.intake, ids=[number], earliest=EARLIEST, edits={"timestamp": MOMENT.isoformat()})
    for _ in range(2):
        assert rig.reader.trades(None, MOMENT, END)["strategy"].tolist() == ["new"]
        rig.load(TRADE)
    retry(
        rig.archive,
        rig.intake,
        ids=[other],
        earliest=EARLIEST,
        edits={"order_id": "o2", "timestamp": MOMENT.isoformat()},
    )
    for tier in ("live", "archive"):
        frame = rig.reader.trades(None, MOMENT, END)
        assert frame[["order_id", "strategy", "tier"]].to_numpy().tolist() == [
            ["o1", "new", "archive"],
            ["o2", "old", tier],
        ]
        rig.load(TRADE)
