"""The steps of one load: its lock, its one transaction, what is written beside rows, and when the batch's file goes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_data.archive import load as load_module
from trading_data.archive.aggregates.refresh import days_to_refresh
from trading_data.archive.quarantine.rejects import ledger_name
from trading_data.archive.verify.run import verify
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import ArchiveTierError
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

DAY = MOMENT.date()
HASH_BYTES = 4
LOCKS = """
select count(*) from pg_locks join pg_database on pg_database.oid = pg_locks.database
where locktype = 'advisory' and datname = current_database()
"""


class Failure(Exception):
    """What a load dies of."""


def fail_at(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(here: str) -> None:
        if here == step:
            raise Failure

    monkeypatch.setattr(load_module, "reached", reached)


@pytest.mark.parametrize("step", ["load.begun", "load.rows", "load.ledger", "load.committed"])
def test_a_batch_stays_until_it_is_committed(rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    rig.store.record_metrics([measurement(), measurement(value=2.0)])
    rig.entry("journal:metrics", {"broken": "1"})
    (drained,) = rig.snapshot(METRICS)
    fail_at(step, monkeypatch)
    with pytest.raises(Failure):
        rig.load(METRICS)
    assert Path(drained.file.path).exists()
    tables = ("metrics_data", "archive_ledger", "archive_range", "archive_quarantine", "archive_revision")
    counts = {rig.query(f"select count(*) from {table}")[0][0] for table in tables}
    assert counts == ({1} if step == "load.committed" else {0})
    monkeypatch.undo()
    (loaded,) = rig.load(METRICS)
    assert (loaded.already, loaded.offered, loaded.replayed) == (step == "load.committed", 3, 0)
    assert not Path(drained.file.path).exists()
    assert rig.account(METRICS).accepted == 3


def test_a_transaction_that_does_not_commit_keeps_the_batch(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement fails and somebody goes on: the commit is answered with a rollback."""
    rig.store.record_metrics([measurement()])
    (drained,) = rig.snapshot(METRICS)
    write = vars(load_module)["write_books"]

    def write_and_fail(cursor: Any, *arguments: Any) -> None:
        write(cursor, *arguments)
        try:
            cursor.execute("select 1 / 0")
        except Exception:  # noqa: BLE001 - the fault that is played here
            pass

    monkeypatch.setattr(load_module, "write_books", write_and_fail)
    with pytest.raises(ArchiveTierError, match="rolled back"):
        rig.load(METRICS)
    assert Path(drained.file.path).exists()
    assert rig.query("select count(*) from metrics_data") == [(0,)]


def test_a_load_holds_the_lock_of_its_dataset_to_its_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked within its transaction: the embedded server has one session, in which nobody else could be kept waiting."""
    rig.store.record_metrics([measurement()])
    rig.snapshot(METRICS)
    held: list[Any] = []
    for step in ("ranges_of", "write_books"):
        original = getattr(load_module, step)

        def asking(cursor: Any, *arguments: Any, original: Any = original) -> Any:
            cursor.execute(LOCKS)
            held.append(cursor.fetchone())
            return original(cursor, *arguments)

        monkeypatch.setattr(load_module, step, asking)
    rig.load(METRICS)
    assert held == [(1,), (1,)]
    assert rig.query(LOCKS) == [(0,)]


def test_the_books_of_two_batches(rig: Rig) -> None:
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0))
    rig.entry_at("journal:metrics", "2000-0", measurement(minute=1))
    rig.archive_all(METRICS)
    rig.entry_at("journal:metrics", "3000-0", measurement(minute=2))
    (loaded,) = rig.archive_all(METRICS)
    ranges = rig.query("select journal, after_id, last_id, length(anchor), added, entries, batch_id from archive_range")
    assert ranges == [("journal:metrics", "0-0", "3000-0", 32, 3, 3, loaded.batch_id)]
    ledger = rig.query("select offered, inserted, accepted_first, accepted_last from archive_ledger order by batch_id")
    second, epoch = timedelta(seconds=1), datetime(1970, 1, 1, tzinfo=UTC)
    assert ledger == [
        (2, 2, epoch + second, epoch + 2 * second + timedelta(microseconds=999)),
        (1, 1, epoch + 3 * second, epoch + 3 * second + timedelta(microseconds=999)),
    ]
    hashes = rig.query("select first_ms, last_ms, length(hashes) from archive_entry_hash order by batch_id")
    assert hashes == [(1000, 2000, 2 * HASH_BYTES), (3000, 3000, HASH_BYTES)]


def test_a_late_row_and_a_correction_ask_for_a_refresh(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3)])
    rig.snapshot(METRICS)
    rig.load(METRICS)
    assert days_to_refresh(rig.archive) == {"metrics_1h": [DAY]}
    rig.refresh(METRICS)
    assert days_to_refresh(rig.archive) == {}
    rig.store.record_metrics([measurement(minute=1, value=9.0)])
    rig.snapshot(METRICS)
    rig.load(METRICS)
    assert days_to_refresh(rig.archive) == {"metrics_1h": [DAY]}
    rig.refresh(METRICS)
    assert rig.query("select maximum, samples from metrics_1h") == [(9.0, 3)]
    rig.store.record_metrics([measurement(minute=1, value=9.0)])
    rig.snapshot(METRICS)
    rig.load(METRICS)
    assert days_to_refresh(rig.archive) == {}


def test_coverage_follows_a_correction_that_moves_a_row_to_another_symbol(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1", symbol="A"), fill("o2", "e2", symbol="A")])
    rig.archive_all(TRADE)
    rig.store.record_trades([fill("o1", "e1", symbol="B")])
    rig.archive_all(TRADE)
    assert rig.query("select subject, rows from archive_coverage order by 1") == [("A", 1), ("B", 1)]
    assert [line.what for line in verify(rig.client, rig.archive, rig.intake) if not line.ok] == []


def test_revisions_say_which_batch_brought_and_which_replaced_them(rig: Rig) -> None:
    """A newer version, one that replaces another of its own batch, and an older one, which is kept and never shown."""
    rig.store.record_prices([bar(close=11.0, source="manual")])
    (first,) = rig.archive_all(PRICE)
    rig.store.record_prices([bar(close=10.0, source="manual"), bar(close=9.5, source="manual")])
    (second,) = rig.archive_all(PRICE)
    rig.store.record_prices([bar(close=9.25, source="other")])
    (third,) = rig.archive_all(PRICE)
    kept = rig.query("select (old->>'close')::float8, old_batch, replaced_by from archive_revision order by 1 desc")
    assert kept == [
        (11.0, first.batch_id, second.batch_id),
        (10.0, second.batch_id, second.batch_id),
        (9.25, third.batch_id, second.batch_id),
    ]
    assert rig.query("select close, batch_id from price_data") == [(9.5, second.batch_id)]


def test_a_worse_source_that_says_the_same_again_is_kept_once(rig: Rig) -> None:
    rig.store.record_prices([bar(close=11.0, source="manual")])
    rig.archive_all(PRICE)
    for close, counts in ((10.0, (1, 0)), (10.0, (0, 1)), (10.5, (1, 0)), (10.0, (1, 0))):
        rig.store.record_prices([bar(close=close, source="other")])
        (loaded,) = rig.archive_all(PRICE)
        assert (loaded.replaced, loaded.unchanged) == counts
    kept = rig.query("select (old->>'close')::float8 from archive_revision order by revision_id")
    assert kept == [(10.0,), (10.5,), (10.0,)]
    assert rig.query("select close from price_data") == [(11.0,)]


def test_a_row_of_a_day_that_was_dropped_waits_in_quarantine(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in (0, 24 * 60)])
    rig.query(
        "insert into archive_dropped (dataset, day, rows, bytes, aggregates, cold, run_id)"
        " values ('metrics', %s, 1, 1, '{}', '', '') returning 1",
        DAY,
    )
    rig.snapshot(METRICS)
    (loaded,) = rig.load(METRICS)
    assert (loaded.inserted, loaded.quarantined) == (1, 1)
    assert rig.query("select kind from archive_quarantine") == [("day dropped",)]
    assert rig.query("select timestamp from metrics_data") == [(MOMENT + timedelta(days=1),)]


@pytest.mark.parametrize("letter", ["x", "é", "\\", "\udcff"])
def test_a_name_is_never_longer_than_an_index_takes(letter: str) -> None:
    names = [f"journal:price:{letter * length}{end}" for length in (1, 400, 2000, 6000) for end in ("", "y")]
    found = [ledger_name(name) for name in names]
    assert len(set(found)) == len(names)
    assert max(len(name.encode()) for name in found) <= 1200
    assert all("sha256:" not in name for name in found[:2])


def test_two_rejects_with_one_id_are_both_kept_and_each_once(rig: Rig) -> None:
    for values in (["x"], ["y"], ["y", "first"], ["y", "second"]):
        rig.client.delete("journal:metrics")
        for second, value in enumerate(values, 1):
            rig.client.xadd("journal:metrics", {"broken": value}, id=f"{second}000-0")
        rig.archive_all(METRICS)
    kept = rig.query("select entry_id, payload->'fields'->0->>1 from archive_quarantine order by 1, 2")
    assert kept == [("1000-0", "x"), ("1000-0", "y"), ("2000-0", "first"), ("2000-0", "second")]
    account = rig.account(METRICS)
    assert (account.quarantined, account.offered, account.replayed) == (4, 5, 1)
