"""What comes back: a batch that was away, an older archive, a journal that went back or was made anew, a file before a bar.

Each test is a kind of fault that once lost entries, or showed an older value, while every check stayed green.
"""

import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trading_data.archive.trim import trim_drained
from trading_data.archive.verify.run import verify
from trading_data.datasets import METRICS, PRICE, TRADE, codec
from trading_data.datasets.declaration import Dataset
from trading_data.intake import snapshot as snapshot_module
from trading_data.intake.import_rows import import_rows
from trading_data.live.keys import lease
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement

END = MOMENT + timedelta(days=1)


def faults(rig: Rig) -> list[str]:
    return [one.what for one in verify(rig.client, rig.archive, rig.intake) if not one.ok]


def values(rig: Rig) -> list[float]:
    found: list[float] = rig.reader.metrics(None, MOMENT, END)["value"].tolist()
    return found


def import_bars(rig: Rig, *bars: Any) -> None:
    rows = {name: [getattr(bar, name) for bar in bars] for name in PRICE.names}
    table = pa.table(rows, schema=codec.schema(PRICE))
    list(import_rows(rig.intake, PRICE, "bars.parquet", [table], origin="file", earliest=EARLIEST))


def settle(rig: Rig, dataset: Dataset) -> None:
    for _ in range(2):
        rig.archive_all(dataset)


def test_a_batch_that_is_away_for_one_run_and_comes_back(rig: Rig, tmp_path: Path) -> None:
    rig.store.record_metrics([measurement(minute=minute) for minute in range(10)])
    (first,) = rig.snapshot(METRICS)
    away = Path(shutil.move(first.file.path, tmp_path / "away"))
    rig.store.record_metrics([measurement(minute=minute) for minute in range(10, 20)])
    rig.archive_all(METRICS)
    assert rig.query("select count(*) from metrics_data") == [(20,)]
    shutil.move(away, first.file.path)
    settle(rig, METRICS)
    account = rig.account(METRICS)
    assert (account.accepted, account.inserted, account.replayed) == (20, 20, 10)
    assert faults(rig) == []


def test_a_batch_that_is_away_after_its_journal_was_trimmed_is_told_until_it_is_back(rig: Rig, tmp_path: Path) -> None:
    """The one emergency: the archive was away and memory full, so that only the intake holds these entries."""
    rig.store.record_metrics([measurement(minute=0)])
    rig.archive_all(METRICS)
    rig.store.record_metrics([measurement(minute=minute) for minute in range(1, 4)])
    (first,) = rig.snapshot(METRICS)
    rig.store.record_metrics([measurement(minute=4)])
    rig.snapshot(METRICS)
    assert trim_drained(rig.client, rig.intake, METRICS).removed == 4
    away = Path(shutil.move(first.file.path, tmp_path / "away"))
    settle(rig, METRICS)
    rig.store.record_metrics([measurement(minute=5)])
    settle(rig, METRICS)
    assert faults(rig) == ["gaps"]
    assert rig.query("select count(*) from metrics_data") == [(3,)]
    shutil.move(away, first.file.path)
    settle(rig, METRICS)
    assert rig.query("select count(*) from metrics_data") == [(6,)]
    assert faults(rig) == []
    assert rig.query("select count(*) from archive_range") == [(1,)]


@pytest.mark.parametrize("how", ["deleted", "deleted in part", "deleted behind others", "emptied", "trimmed"])
@pytest.mark.parametrize("archived", [True, False])
def test_a_batch_that_is_away_while_somebody_removes_its_entries(
    rig: Rig, tmp_path: Path, archived: bool, how: str
) -> None:
    """No later range claims what it did not read, so that the batch is new when it is back."""
    if archived:
        rig.store.record_metrics([measurement(minute=0)])
        rig.archive_all(METRICS)
    ids = rig.store.record_metrics([measurement(minute=minute) for minute in range(1, 4)])
    (first,) = rig.snapshot(METRICS)
    away = Path(shutil.move(first.file.path, tmp_path / "away"))
    if how == "deleted":
        rig.client.xdel("journal:metrics", *ids)
    elif how == "deleted in part":
        rig.client.xdel("journal:metrics", ids[1])
    elif how == "deleted behind others":
        rig.client.xdel("journal:metrics", *ids[1:])
    else:
        rig.client.xtrim("journal:metrics", maxlen=0, approximate=False)
    if how != "emptied":
        rig.store.record_metrics([measurement(minute=4)])
    settle(rig, METRICS)
    if archived:
        assert faults(rig) in (["gaps"], ["missing"], ["gaps", "missing"])
    shutil.move(away, first.file.path)
    settle(rig, METRICS)
    whole = archived + 3 + (how != "emptied")
    assert rig.query("select count(*) from metrics_data") == [(whole,)]
    account = rig.account(METRICS)
    assert account.accepted == whole
    assert faults(rig) == []
    rig.store.record_metrics([measurement(minute=5)])
    settle(rig, METRICS)
    assert rig.trim(METRICS).left_alone == ()
    assert rig.client.xlen("journal:metrics") == 1


@pytest.mark.parametrize("deleted", [(5, 7), (5,), (4, 6), (4, 5, 7, 8), (6, 8)])
@pytest.mark.parametrize(("blocks", "alone"), [(1, 100), (2, 0), (200_000, 0), (200_000, 100)])
@pytest.mark.parametrize("archived", [True, False])
def test_a_batch_that_is_away_while_entries_between_others_are_deleted(
    rig: Rig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    archived: bool,
    blocks: int,
    alone: int,
    deleted: tuple[int, ...],
) -> None:
    """The next range may lie around what nobody read: what comes back is a repetition only where the archive has it."""
    monkeypatch.setattr(snapshot_module, "MOST_ALONE", alone)
    if archived:
        for second in range(1, 4):
            rig.entry_at("journal:metrics", f"{second}000-0", measurement(minute=second))
        rig.archive_all(METRICS)
    for second in range(4, 9):
        record = measurement(minute=second)
        if second == 5:
            rig.client.xadd("journal:metrics", {"metric_name": "odd"}, id="5000-0")
        else:
            rig.entry_at("journal:metrics", f"{second}000-0", record)
    (first,) = rig.snapshot(METRICS)
    away = Path(shutil.move(first.file.path, tmp_path / "away"))
    rig.client.xdel("journal:metrics", *(f"{second}000-0" for second in deleted))
    rig.entry_at("journal:metrics", "9000-0", measurement(minute=9))
    rig.snapshot(METRICS, batch_entries=blocks, rows_per_pipeline=blocks)
    settle(rig, METRICS)
    if archived:
        assert faults(rig) != []
    shutil.move(away, first.file.path)
    assert len(values(rig)) == 5 + 3 * archived  # before it is loaded
    (again,) = rig.archive_all(METRICS)
    assert (again.accepted, again.replayed) == (len(deleted), 5 - len(deleted))
    settle(rig, METRICS)
    assert rig.query("select count(*) from metrics_data") == [(5 + 3 * archived,)]
    assert rig.query("select entry_id from archive_quarantine") == [("5000-0",)]
    assert rig.account(METRICS).accepted == 6 + 3 * archived
    assert faults(rig) == []


@pytest.mark.parametrize("behind", [0, 1, 2])
def test_nothing_is_told_where_the_last_archived_entry_was_deleted(rig: Rig, behind: int) -> None:
    """If others follow, the journal is read from its beginning, and keeps its number: counts and ranges still tell of it."""
    for minute in range(3):
        rig.entry_at("journal:metrics", f"{1000 * minute + 1000}-0", measurement(minute=minute))
    rig.snapshot(METRICS)
    rig.load(METRICS)
    rig.client.xdel("journal:metrics", "3000-0")
    rig.store.record_metrics([measurement(minute=minute) for minute in range(3, 3 + behind)])
    settle(rig, METRICS)
    assert rig.account(METRICS).accepted == 3 + behind
    assert rig.query("select count(distinct incarnation), sum(entries) from archive_range") == [(1, 3 + behind)]
    assert faults(rig) == []
    assert rig.client.xlen("journal:metrics") == (1 if behind else 2)  # without its anchor nothing is trimmed


def test_a_batch_that_is_away_while_a_newer_value_of_its_key_is_archived(rig: Rig, tmp_path: Path) -> None:
    rig.store.record_metrics([measurement(value=1.0)])
    (first,) = rig.snapshot(METRICS)
    rig.store.record_metrics([measurement(value=2.0)])
    rig.snapshot(METRICS)
    away = Path(shutil.move(first.file.path, tmp_path / "away"))
    rig.load(METRICS)
    shutil.move(away, first.file.path)
    assert values(rig) == [2.0]
    rig.load(METRICS)
    assert values(rig) == [2.0]
    account = rig.account(METRICS)
    assert (account.inserted, account.replaced, account.accepted) == (1, 1, 2)
    assert rig.query("select (old->>'value')::float8 from archive_revision") == [(1.0,)]
    assert faults(rig) == []


def test_an_archive_that_went_back_is_filled_again_from_the_journals(rig: Rig) -> None:
    rig.store.record_metrics([measurement(minute=0)])
    rig.archive_all(METRICS)
    before = {name: rig.query(f"select * from {name}") for name in ("archive_range", "archive_ledger")}
    rig.store.record_metrics([measurement(minute=minute) for minute in range(1, 4)])
    rig.snapshot(METRICS)
    rig.load(METRICS)  # not trimmed: the hot window keeps them
    rig.query("delete from metrics_data where timestamp > %s returning 1", MOMENT)
    rig.query("delete from archive_coverage returning 1")
    rig.query("delete from archive_ledger where batch_id <> %s returning 1", before["archive_ledger"][0][0])
    rig.query(
        "update archive_range set last_id = %s, anchor = %s, added = %s returning 1", *before["archive_range"][0][4:7]
    )
    rig.query("update archive_range set entries = 1 returning 1")
    rig.trim(METRICS)
    assert rig.client.xlen("journal:metrics") == 4
    rig.archive_all(METRICS)
    assert rig.query("select count(*) from metrics_data") == [(4,)]
    assert rig.account(METRICS).accepted == 4


@pytest.mark.parametrize("same_start", [True, False])
def test_a_journal_made_anew_with_ids_that_were_drained_already(rig: Rig, same_start: bool) -> None:
    for second in (1, 2, 3):
        rig.entry_at("journal:metrics", f"{second}000-0", measurement(minute=second))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    for second in (1, 2, 3):
        value = 1.5 if same_start and second == 1 else 7.0
        rig.entry_at("journal:metrics", f"{second}000-0", measurement(minute=second, value=value))
    assert rig.trim(METRICS).removed == 0
    settle(rig, METRICS)
    assert values(rig) == [1.5 if same_start else 7.0, 7.0, 7.0]
    assert faults(rig) == []


def test_a_clock_behind_after_a_failover(rig: Rig) -> None:
    """What is accepted later has smaller ids than what was lost."""
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0, value=1.0))
    rig.entry_at("journal:metrics", "2000-0", measurement(minute=0, value=2.0))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "1000-0", measurement(minute=0, value=1.0))
    rig.entry_at("journal:metrics", "1100-0", measurement(minute=0, value=3.0))
    rig.entry_at("journal:metrics", "1200-0", measurement(minute=1, value=4.0))
    settle(rig, METRICS)
    assert values(rig) == [3.0, 4.0]
    account = rig.account(METRICS)
    assert (account.accepted, account.quarantined, account.replayed) == (4, 0, 1)


def test_two_fills_of_one_moment_in_a_journal_that_went_back_are_both_kept(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1"), fill("o2", "e2", 1)])
    rig.archive_all(TRADE)
    rig.client.delete("journal:trade")
    rig.client.xadd("journal:trade", _fields(fill("o3", "e3")), id="1-0")
    rig.client.xadd("journal:trade", _fields(fill("o3", "e4")), id="2-0")
    settle(rig, TRADE)
    kept = [execution for (execution,) in rig.query("select execution_id from trade_data order by 1")]
    waiting = [payload["fields"] for (payload,) in rig.query("select payload from archive_quarantine")]
    assert [*kept, *(dict(fields)["execution_id"] for fields in waiting)] == ["e1", "e2", "e3", "e4"]


def test_one_id_near_the_end_and_then_a_journal_made_anew(rig: Rig) -> None:
    rig.entry_at("journal:metrics", "18446744073709551614-1", measurement(minute=0, value=1.0))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    for value in (2.0, 3.0, 4.0):
        rig.store.record_metrics([measurement(minute=0, value=value)])
        settle(rig, METRICS)
        assert values(rig) == [value]
    assert rig.account(METRICS).quarantined == 0


def test_a_file_that_was_imported_after_a_bar_was_accepted_stays(rig: Rig) -> None:
    rig.store.record_prices([bar(close=10.5)])
    time.sleep(0.002)  # within one millisecond nobody can tell which was accepted first
    import_bars(rig, bar(close=11.0))
    rig.load(PRICE)
    for step in (rig.snapshot, rig.load, rig.snapshot):
        assert rig.reader.prices(None, MOMENT, END)["close"].tolist() == [11.0]
        step(PRICE)
    rig.store.record_prices([bar(close=10.75)])
    rig.archive_all(PRICE)
    assert rig.query("select close from price_data") == [(10.75,)]
    assert rig.account(PRICE).replaced == 2


def test_two_drains_of_which_one_has_lost_its_lease_count_each_entry_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stands still after its look at the lease; the other one drains everything meanwhile."""
    rig.store.record_metrics([measurement(minute=minute) for minute in range(10)])
    other = Rig(rig.settings)

    def put(self: Any, batch: Any, original: Callable[..., Any] = rig.intake.put) -> Any:
        monkeypatch.undo()
        rig.client.delete(lease("metrics"))
        other.snapshot(METRICS, batch_entries=3)
        return original(batch)

    monkeypatch.setattr(type(rig.intake), "put", put)
    try:
        rig.snapshot(METRICS)
    finally:
        other.close()
    settle(rig, METRICS)
    account = rig.account(METRICS)
    assert (account.accepted, account.inserted, account.quarantined) == (10, 10, 0)
    assert faults(rig) == []


def test_a_drain_whose_lease_has_run_out_leaves_no_batch(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_metrics([measurement()])
    original = vars(snapshot_module)["drain"]

    def drain(*arguments: Any) -> Any:
        rig.client.delete(lease("metrics"))
        return original(*arguments)

    monkeypatch.setattr(snapshot_module, "drain", drain)
    with pytest.raises(Exception, match="expired"):
        rig.snapshot(METRICS)
    assert rig.intake.pending("metrics") == []


def test_a_key_with_a_very_long_name_stops_nobody(rig: Rig) -> None:
    long = "journal:price:" + "x" * 6000
    rig.entry(long, {"timestamp": "2026-11-20T15:00:00Z", "open": "1"})
    rig.entry(long + "y", {"timestamp": "2026-11-20T15:00:00Z", "open": "1"})
    rig.store.record_prices([bar("A"), bar("B")])
    settle(rig, PRICE)
    assert rig.query("select count(*) from price_data") == [(2,)]
    found = rig.query("select journal, length(payload::text) from archive_quarantine order by 1")
    assert len(found) == len({journal for journal, _ in found}) == 2
    assert all(len(journal) < 300 and size > 6000 for journal, size in found)
    assert faults(rig) == []
    assert rig.client.xlen(long) == 1


def _fields(record: Any) -> dict[Any, Any]:
    return {name: codec.plain(getattr(record, name)) for name in TRADE.names}
