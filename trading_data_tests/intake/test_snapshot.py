"""Draining: everything once, whatever is lost on the way; invariants 1 and 2 of DESIGN.md."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from trading_data.archive.trim import trim_drained
from trading_data.datasets import METRICS, PRICE
from trading_data.errors import LiveTierError
from trading_data.intake import lease as lease_module
from trading_data.intake import snapshot as snapshot_module
from trading_data.intake.accounted import note, noted
from trading_data.intake.poll_latest import poll_latest
from trading_data.live.journal import EntryId
from trading_data.live.ranges import EntryRange
from trading_data_tests.rig import EARLIEST, Rig, bar, measurement

FIELDS: dict[str, str] = {"open": "10", "high": "12", "low": "9", "close": "11", "volume": "100", "source": "test"}


def test_nothing_new_writes_nothing(rig: Rig) -> None:
    rig.store.record_metrics([measurement()])
    assert [one.rows for one in rig.snapshot(METRICS)] == [1]
    assert rig.snapshot(METRICS) == []


def test_small_batches_and_pipelines_drain_the_same(rig: Rig) -> None:
    rig.store.record_prices([bar(symbol, minute) for minute in range(25) for symbol in ("A", "B", "C")])
    drained = rig.snapshot(PRICE, batch_entries=10, rows_per_pipeline=7)
    assert sum(one.rows for one in drained) == 75
    assert max(one.rows for one in drained) <= 17
    assert rig.snapshot(PRICE) == []
    rig.load(PRICE)
    assert rig.query("select count(*), count(distinct symbol) from price_data") == [(75, 3)]


def test_a_drain_that_died_before_it_noted_does_not_count_twice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3)])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(snapshot_module, "note", die)
        with pytest.raises(KeyboardInterrupt):
            rig.snapshot(METRICS)
    assert len(rig.intake.pending("metrics")) == 1
    rig.store.record_metrics([measurement(minute=3)])
    assert [one.rows for one in rig.snapshot(METRICS)] == [1]
    rig.load(METRICS)
    assert rig.account(METRICS).accepted == rig.accepted(METRICS) == 4
    assert rig.account(METRICS).replayed == 0


def test_positions_that_redis_lost_are_found_in_the_archive(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3)])
    rig.snapshot(METRICS)
    rig.load(METRICS)
    rig.client.delete("archive:drained:metrics")
    rig.store.record_metrics([measurement(minute=3)])
    assert [one.rows for one in rig.snapshot(METRICS)] == [1]


def test_entries_that_somebody_trimmed_are_reported(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=0)])
    rig.archive_all(METRICS)
    rig.store.record_metrics([measurement(minute=minute) for minute in range(1, 5)])
    rig.client.xtrim("journal:metrics", maxlen=1, approximate=False)
    (drained,) = rig.snapshot(METRICS)
    assert drained.rows == 1
    assert drained.journals[0].missing == 3
    assert rig.load(METRICS)[0].missing == 3


def test_a_journal_emptied_by_somebody_is_reported_too(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=0)])
    rig.archive_all(METRICS)
    rig.store.record_metrics([measurement(minute=1)])
    rig.client.xtrim("journal:metrics", maxlen=0, approximate=False)
    (drained,) = rig.snapshot(METRICS)
    assert (drained.rows, drained.journals[0].missing) == (0, 1)
    assert rig.load(METRICS)[0].missing == 1
    assert rig.snapshot(METRICS) == []


def test_a_journal_that_went_back_is_drained_again_and_changes_nothing(rig: Rig) -> None:
    """A server that lost its newest entries, which had been archived, and a clock that stepped back with it."""
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0, value=1.0))
    rig.entry_at("journal:metrics", "2000-0", measurement(minute=0, value=2.0))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0, value=1.0))
    rig.entry_at("journal:metrics", "1500-0", measurement(minute=1, value=5.0))
    (loaded,) = rig.archive_all(METRICS)
    assert (loaded.offered, loaded.replayed, loaded.inserted, loaded.quarantined) == (2, 1, 1, 0)
    assert rig.query("select value from metrics_data order by timestamp") == [(2.0,), (5.0,)]
    assert rig.query("select count(*), count(distinct incarnation) from archive_range") == [(2, 2)]
    assert rig.client.xlen("journal:metrics") == 1
    rig.entry_at("journal:metrics", "1600-0", measurement(minute=2))
    assert [one.rows for one in rig.snapshot(METRICS)] == [1]
    assert rig.load(METRICS)[0].inserted == 1
    rig.entry_at("journal:metrics", "3000-0", measurement(minute=0, value=3.0))
    rig.archive_all(METRICS)
    assert rig.query("select value from metrics_data order by timestamp limit 1") == [(3.0,)]


def test_two_drains_at_once_take_turns(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(500)])
    errors: list[Exception] = []

    def drain() -> None:
        try:
            rig.snapshot(PRICE, batch_entries=50)
        except Exception as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=drain) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    rig.load(PRICE)
    assert rig.account(PRICE).accepted == 500
    assert rig.account(PRICE).replayed == 0


def test_a_lease_that_nobody_releases_is_an_error_that_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_metrics([measurement()])
    rig.client.set("archive:lease:metrics", "somebody")
    monkeypatch.setattr(lease_module, "PATIENCE_SECONDS", 1)
    with pytest.raises(LiveTierError, match="another process has been draining the metrics journals"):
        rig.snapshot(METRICS)


def test_the_lease_of_a_drain_that_was_killed_runs_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_metrics([measurement()])
    rig.client.set("archive:lease:metrics", "somebody who is dead", px=800)
    monkeypatch.setattr(lease_module, "PATIENCE_SECONDS", 10)
    assert [one.rows for one in rig.snapshot(METRICS)] == [1]


def test_strange_keys_do_not_stop_the_rest(rig: Rig) -> None:
    rig.client.set("journal:price:text", "not a stream")
    rig.client.xadd(b"journal:price:\xff\xfe", {"timestamp": "x"})
    rig.client.xadd("journal:price:", {"timestamp": "x"})
    rig.store.record_prices([bar("*"), bar("a:b"), bar("{c}")])
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.inserted, loaded.quarantined) == (3, 2)
    journals = {row[0] for row in rig.query("select journal from archive_quarantine")}
    assert journals == {r"journal:price:\xff\xfe", "journal:price:"}
    assert rig.snapshot(PRICE) == []


def test_a_producer_without_journal_is_archived_once_a_change(rig: Rig) -> None:
    fields: dict[Any, Any] = {
        "timestamp": "2026-11-20T15:00:00Z",
        "open": "1",
        "high": "2",
        "low": "1",
        "close": "2",
        "volume": "3",
    }
    rig.client.hset("stocks:price:OLD", mapping={**fields, "source": "cron"})
    rig.store.record_prices([bar("NEW")])
    for close, expected in (("2", 1), ("2", 0), ("1.5", 1)):
        rig.client.hset("stocks:price:OLD", "close", close)
        rig.snapshot(PRICE)
        sampled = poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
        assert (sampled.rows if sampled else 0) == expected
        rig.load(PRICE)
    assert rig.query("select symbol, close, source from price_data order by symbol") == [
        ("NEW", 11.0, "test"),
        ("OLD", 1.5, "cron"),
    ]
    assert rig.account(PRICE).replaced == 1


def test_trim_leaves_what_is_not_archived_and_the_hot_window(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=0)])
    rig.snapshot(METRICS)
    assert rig.trim(METRICS).removed == 0  # drained, but not archived
    rig.load(METRICS)
    rig.store.record_metrics([measurement(minute=1)])
    assert rig.trim(METRICS, timedelta(hours=1)).removed == 0  # archived, but hot
    assert rig.trim(METRICS).removed == 0  # the last archived entry stays, as the anchor
    rig.archive_all(METRICS)
    assert rig.client.xlen("journal:metrics") == 1
    assert rig.account(METRICS).accepted == 2


def test_trim_leaves_a_journal_alone_that_went_back(rig: Rig) -> None:
    rig.entry_at("journal:metrics", "2000-0", measurement(minute=0))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=1))
    trimmed = rig.trim(METRICS)
    assert (trimmed.removed, trimmed.left_alone) == (0, ("journal:metrics",))


def test_what_is_noted_comes_back(rig: Rig) -> None:
    ranges = [
        EntryRange(7, EntryId(0, 0), EntryId(5, 1), "abc", 3),
        EntryRange(7, EntryId(8, 0), EntryId(9, 0), "", None),
    ]
    note(rig.client, METRICS, {"journal:metrics": ranges})
    assert noted(rig.client, METRICS) == {"journal:metrics": ranges}


def test_a_server_that_lost_its_last_second_and_went_on(rig: Rig) -> None:
    """What it lost had been archived; what came after is drained, and nothing is reported that is not so."""
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0))
    rig.entry_at("journal:metrics", "2000-0", measurement(minute=1))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0))
    rig.entry_at("journal:metrics", "3000-0", measurement(minute=2))
    (drained,) = rig.snapshot(METRICS)
    assert (drained.rows, drained.journals[0].missing) == (2, 0)
    (loaded,) = rig.load(METRICS)
    assert (loaded.replayed, loaded.inserted) == (1, 1)
    assert rig.query("select count(*) from metrics_data") == [(3,)]


def test_a_server_that_was_flushed_goes_on(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3)])
    rig.archive_all(METRICS)
    rig.client.flushdb()
    rig.store.record_metrics([measurement(minute=0, value=9.0), measurement(minute=3)])
    (loaded,) = rig.archive_all(METRICS)
    assert (loaded.inserted, loaded.replaced, loaded.missing) == (1, 1, 0)
    assert rig.query("select count(*), max(value) from metrics_data") == [(4, 9.0)]


def test_an_emergency_trim_goes_no_further_than_the_intake(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3)])
    rig.snapshot(METRICS)
    rig.store.record_metrics([measurement(minute=3)])
    assert trim_drained(rig.client, rig.intake, METRICS).removed == 2
    assert rig.client.xlen("journal:metrics") == 2
    rig.archive_all(METRICS)
    assert rig.account(METRICS).accepted == 4


def test_a_latest_value_that_its_journal_says_further_back_is_not_taken_for_a_new_one(rig: Rig) -> None:
    """A journalled correction and many late bars came after the bar that stands in the hash."""
    rig.store.record_prices([bar("A", 60)])
    rig.entry("journal:price:A", {**FIELDS, "timestamp": "2026-11-20T16:00:00Z", "close": "9.5"})
    for minute in range(20):
        rig.entry("journal:price:A", {**FIELDS, "timestamp": f"2026-11-20T15:{minute:02}:00Z"})
    for _ in range(2):
        rig.snapshot(PRICE)
        assert poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST) is None
        rig.load(PRICE)
    assert rig.query("select close from price_data order by timestamp desc limit 1") == [(9.5,)]
    assert rig.account(PRICE).accepted == rig.accepted(PRICE)


def test_a_sampled_value_replaces_what_was_accepted_before_the_last_look_and_nothing_else(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0), bar("A", 1)])
    rig.archive_all(PRICE)
    poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
    rig.client.hset("stocks:price:A", "close", "10.5")  # by a producer without a journal, after the last look
    assert poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST) is not None
    assert rig.load(PRICE)[0].replaced == 1
    rig.client.hset("stocks:price:A", "close", "10")  # and now one of two that nobody can order
    rig.entry("journal:price:A", {**FIELDS, "timestamp": "2026-11-20T15:01:00Z", "close": "9.5"})
    rig.archive_all(PRICE)
    poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
    assert rig.load(PRICE)[0].quarantined == 1
    assert rig.query("select close from price_data order by timestamp desc limit 1") == [(9.5,)]
    assert rig.query("select kind from archive_quarantine") == [("cannot be ordered",)]


def test_the_value_of_the_later_poll_stands(rig: Rig) -> None:
    """It was set after the poll before had read its key, though that poll ended later than it began."""
    rig.store.record_prices([bar("A")])
    rig.archive_all(PRICE)
    for close in ("9.5", "10", "10.5", "10"):
        rig.client.hset("stocks:price:A", "close", close)
        poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
        assert [loaded.quarantined for loaded in rig.load(PRICE)] == [1 if close == "9.5" else 0]
    assert rig.query("select close from price_data") == [(10.0,)]
