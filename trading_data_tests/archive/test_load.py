"""The one door: counts, replays, corrections, quarantine; invariants 1, 3 and 4 of DESIGN.md."""

import json
import shutil
import subprocess
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from trading_data.archive.database import Archive
from trading_data.archive.load import load, load_pending
from trading_data.archive.quarantine import rejects
from trading_data.archive.verify.run import check_intake
from trading_data.datasets import DATASETS, METRICS, PRICE, TABLES, TRADE
from trading_data.errors import IntakeError, Refused
from trading_data.intake.store import Intake
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_each_dataset_from_journal_to_rows(rig: Rig) -> None:
    rig.store.record_prices([bar("AAPL", minute) for minute in range(3)] + [bar("日経", 0)])
    rig.store.record_trades([fill("o1", "e1"), fill("o2", "e2", side="sell")])
    rig.store.record_metrics([measurement("latency", 0), measurement("latency", 1, value=-2.5)])
    counts = {name: rig.archive_all(dataset)[0].inserted for name, dataset in DATASETS.items()}
    assert counts == {"price": 4, "trade": 2, "metrics": 2}
    assert rig.query("select symbol, count(*) from price_data group by symbol order by symbol") == [
        ("AAPL", 3),
        ("日経", 1),
    ]
    assert rig.query("select quantity * price + commission from trade_data where order_id = 'o1'")[0][0] == 113
    assert rig.query("select sum(value) from metrics_data") == [(-1.0,)]


def test_every_row_leads_to_batch_run_and_journal(rig: Rig) -> None:
    (entry,) = rig.store.record_prices([bar("AAPL")])
    rig.archive_all(PRICE)
    ((load_run, journals),) = rig.query(
        "select load_run, journals from archive_ledger join price_data using (batch_id) where symbol = 'AAPL'"
    )
    assert load_run == "test"
    assert (journals[0]["journal"], journals[0]["first"], journals[0]["last"]) == ("journal:price:AAPL", entry, entry)


def test_a_correction_replaces_and_is_kept(rig: Rig) -> None:
    rig.store.record_prices([bar(close=11.0)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar(close=11.5), bar(close=11.5), bar(close=10.5)])
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.inserted, loaded.replaced, loaded.unchanged) == (0, 2, 1)
    assert rig.query("select close from price_data") == [(10.5,)]
    old = rig.query("select old->>'close', replaced_by - old_batch from archive_revision order by revision_id")
    assert sorted(old) == [("11.0", 1), ("11.5", 0)] or sorted(old) == [("11", 1), ("11.5", 0)]


def test_two_fills_of_one_moment_are_two_rows(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1"), fill("o1", "e2"), fill("o1", "e1", price=fill().price + 1)])
    (loaded,) = rig.archive_all(TRADE)
    assert (loaded.inserted, loaded.replaced, loaded.quarantined) == (2, 1, 0)
    rig.store.record_trades([fill("o1", "e3"), fill("o1", "e1", price=fill().price + 1)])
    (loaded,) = rig.archive_all(TRADE)
    assert (loaded.inserted, loaded.unchanged, loaded.quarantined) == (1, 1, 0)
    rows = rig.query('select execution_id, price, "timestamp", reported from trade_data order by 1')
    microsecond = timedelta(microseconds=1)
    assert rows == [
        ("e1", fill().price + 1, MOMENT + microsecond, MOMENT),
        ("e2", fill().price, MOMENT, None),
        ("e3", fill().price, MOMENT + 2 * microsecond, MOMENT),
    ]


def test_a_rejected_entry_is_kept_whole(rig: Rig) -> None:
    fields = {"timestamp": "soon", "open": b"\xff\x00", "note": "?"}
    entry = rig.entry("journal:price:AAPL", fields)
    rig.store.record_prices([bar("AAPL")])
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.inserted, loaded.quarantined) == (1, 1)
    ((journal, entry_id, kind, payload),) = rig.query(
        "select journal, entry_id, kind, payload::text from archive_quarantine"
    )
    assert (journal, entry_id, kind) == ("journal:price:AAPL", entry, "missing field")
    pairs = json.loads(payload)["fields"]
    back = {name: value.encode("utf-8", "surrogateescape") for name, value in pairs}
    assert back == {"timestamp": b"soon", "open": b"\xff\x00", "note": b"?"}


def test_a_batch_that_is_loaded_again_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.store.record_prices([bar("AAPL", minute) for minute in range(5)])
    rig.entry("journal:price:AAPL", {"x": "y"})
    (drained,) = rig.snapshot(PRICE)
    copy = tmp_path / "copy"
    shutil.copy(drained.file.path, copy)
    (first,) = rig.load(PRICE)
    for _ in range(2):
        shutil.copy(copy, drained.file.path)
        (again,) = rig.load(PRICE)
        assert again.already
        assert (again.batch_id, again.inserted, again.quarantined) == (first.batch_id, 5, 1)
    assert rig.account(PRICE).accepted == 6
    assert rig.query("select count(*) from archive_quarantine") == [(1,)]


def test_a_batch_that_overlaps_another_counts_each_entry_once(rig: Rig, tmp_path: Path) -> None:
    rig.store.record_prices([bar("AAPL", minute) for minute in range(5)])
    (first,) = rig.snapshot(PRICE)
    away = Path(first.file.path).rename(tmp_path / "away")
    rig.store.record_prices([bar("AAPL", 5), bar("AAPL", 0, close=9.5)])
    (drained,) = rig.snapshot(PRICE)
    assert drained.rows == 7
    away.rename(first.file.path)
    _, loaded = rig.load(PRICE)
    assert (loaded.offered, loaded.replayed, loaded.inserted, loaded.replaced) == (7, 5, 1, 1)
    assert rig.account(PRICE).accepted == rig.accepted(PRICE) == 7


def test_a_damaged_batch_stops_the_load_with_one_clear_error(rig: Rig) -> None:
    rig.store.record_prices([bar("AAPL")])
    (drained,) = rig.snapshot(PRICE)
    path = Path(drained.file.path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntakeError, match="is damaged"):
        rig.load(PRICE)
    assert path.exists()
    assert rig.query("select count(*) from archive_ledger") == [(0,)]


def test_rows_of_other_days_are_reported_as_theirs(rig: Rig) -> None:
    late = MOMENT - timedelta(days=40)
    rig.store.record_prices(
        [bar("AAPL"), bar("AAPL", timestamp=late), bar("MSFT", timestamp=late + timedelta(minutes=7))]
    )
    (loaded,) = rig.archive_all(PRICE)
    assert {str(day): counts["inserted"] for day, counts in loaded.days.items()} == {"2026-11-20": 1, "2026-10-11": 2}
    touched = loaded.touched[late.date()]
    assert (touched.low, touched.high) == (late, late + timedelta(minutes=7))


@SLOW
@given(data=st.data())
def test_any_entries_in_any_batches_end_like_a_dict(rig: Rig, data: st.DataObject) -> None:
    """Newest wins and the counts do not depend on how entries were cut into batches."""
    rig.clean()
    model: dict[tuple[str, int], float] = {}
    counts: Counter[str] = Counter()
    entries = st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), st.sampled_from([1.0, 2.0, 3.0])), max_size=12
    )
    for _ in range(data.draw(st.integers(1, 3))):
        for name, minute, value in data.draw(entries):
            rig.store.record_metrics([measurement(name, minute, value)])
            known = model.get((name, minute))
            counts["inserted" if known is None else "unchanged" if known == value else "replaced"] += 1
            model[name, minute] = value
        rig.snapshot(METRICS, batch_entries=data.draw(st.integers(1, 6)))
        if data.draw(st.booleans()):
            rig.load(METRICS)
    rig.archive_all(METRICS)
    rows = rig.query("select metric_name, timestamp, value from metrics_data")
    assert {(name, int((moment - MOMENT).total_seconds()) // 60): value for name, moment, value in rows} == model
    account = rig.account(METRICS)
    assert (account.inserted, account.replaced, account.unchanged) == tuple(
        counts[one] for one in ("inserted", "replaced", "unchanged")
    )
    assert rig.query("select count(*) from archive_revision") == [(counts["replaced"],)]


def test_the_same_file_object_can_be_loaded_directly(rig: Rig) -> None:
    rig.store.record_metrics([measurement()])
    (drained,) = rig.snapshot(METRICS)
    batch = rig.intake.read(drained.file)
    assert batch is not None
    assert not load(rig.archive, METRICS, drained.file, batch).already
    assert load(rig.archive, METRICS, drained.file, batch).already


@pytest.mark.parametrize("entry_id", ["9999999999999999-0", "9223372036854775808-5", "1-18446744073709551615"])
def test_any_entry_id_goes_through(rig: Rig, entry_id: str) -> None:
    rig.entry_at("journal:metrics", "1-0", measurement(minute=1))
    rig.client.xadd("journal:metrics", {"metric_name": "broken"}, id=entry_id)
    for _ in range(2):
        rig.archive_all(METRICS)
    account = rig.account(METRICS)
    assert (account.inserted, account.quarantined, account.missing) == (1, 1, 0)
    assert rig.client.xlen("journal:metrics") == 1  # the anchor stays
    assert rig.query("select entry_id from archive_quarantine") == [(entry_id,)]


def test_a_value_that_no_average_could_hold_does_not_stop_the_aggregate(rig: Rig) -> None:
    rig.entry(
        "journal:metrics", {"metric_name": "m", "timestamp": "2026-11-20T15:00:00Z", "value": "1e200", "unit": ""}
    )
    rig.store.record_metrics([measurement("m", value=1e100), measurement("m", 1, value=-1e100)])
    (loaded,) = rig.archive_all(METRICS)
    assert (loaded.inserted, loaded.quarantined) == (2, 1)
    assert rig.query("select maximum from metrics_1h") == [(1e100,)]


def test_many_rows_of_subjects_some_of_which_the_archive_holds(rig: Rig) -> None:
    """A journal that was cut between two batches, one that is sent again and corrected, and a new one, in one batch."""
    rig.store.record_prices([bar(symbol, minute) for symbol in "AB" for minute in range(30)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", minute, close=9.5 if minute < 3 else 11.0) for minute in range(11)])
    rig.store.record_prices([bar(symbol, minute) for symbol in "BC" for minute in range(30, 60)])
    rig.store.record_prices([bar("C", 40, close=10.0), bar("C", 40, close=10.5), bar("A", 30)])
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.inserted, loaded.replaced, loaded.unchanged, loaded.quarantined) == (61, 5, 8, 0)
    assert rig.query("select symbol, count(*), sum(close)::float8 from price_data group by 1 order by 1") == [
        ("A", 31, 31 * 11.0 - 4.5),
        ("B", 60, 660.0),
        ("C", 30, 330.0 - 0.5),
    ]
    assert rig.query("select old->>'close', count(*) from archive_revision group by 1 order by 1") == [
        ("10", 1),
        ("11", 4),
    ]
    assert rig.query("select subject, rows from archive_coverage order by 1") == [("A", 31), ("B", 60), ("C", 30)]
    assert rig.account(PRICE).accepted == rig.accepted(PRICE)


def test_many_large_rejected_entries_are_kept_in_several_statements(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects, "STATEMENT_BYTES", 1000)
    for size in (10, 400, 5000, 20, 900):
        rig.entry("journal:metrics", {"broken": "x" * size})
    assert rig.archive_all(METRICS)[0].quarantined == 5
    assert rig.query("select count(*) from archive_quarantine") == [(5,)]


def test_where_the_archive_holds_few_or_many_of_a_subjects_rows_each_is_found(rig: Rig) -> None:
    sent = [bar("FEW", 0), bar("FEW", 3), *(bar("MANY", minute) for minute in range(25)), bar("NONE", 50)]
    rig.store.record_prices(sent)
    rig.archive_all(PRICE)
    again = [bar(symbol, minute) for symbol in ("FEW", "MANY", "NONE") for minute in range(40)]
    again[3], again[40 + 24] = bar("FEW", 3, close=11.5), bar("MANY", 24, close=11.5)
    rig.store.record_prices(again)
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.inserted, loaded.replaced, loaded.unchanged, loaded.quarantined) == (120 - 27, 2, 25, 0)
    assert rig.query("select count(*), count(*) filter (where close = 11.5) from price_data") == [(121, 2)]


@pytest.mark.parametrize("folder", ["daily", "metrics"], ids=["with the same columns", "with others"])
def test_a_batch_in_the_folder_of_another_dataset_is_not_loaded_there(rig: Rig, tmp_path: Path, folder: str) -> None:
    rig.intake = Intake(str(tmp_path / "intake"))
    rig.store.record_prices([bar()])
    (drained,) = rig.snapshot(PRICE)
    moved = tmp_path / "intake" / folder / drained.file.name
    moved.parent.mkdir()
    shutil.move(drained.file.path, moved)
    with pytest.raises(IntakeError, match=f"is a batch of price, in the folder of {folder}. Move it: `mkdir"):
        rig.load(TABLES[folder])
    assert moved.exists()
    for deep in (False, True):
        (fault,) = [one for one in check_intake(rig.intake, TABLES[folder], deep) if not one.ok]
        assert fault.command in fault.message
    subprocess.run(fault.command, shell=True, check=True)  # as it is printed
    assert rig.load(TABLES[folder]) == []
    assert [loaded.inserted for loaded in rig.load(PRICE)] == [1]


def test_nothing_is_loaded_while_the_archive_is_being_restored(rig: Rig) -> None:
    """TimescaleDB puts rows into no chunk then: they vanish from sight when the restore is over, and their entries are trimmed."""
    rig.store.record_metrics([measurement()])
    rig.snapshot(METRICS)
    url = make_url(rig.archive.url).update_query_dict({"options": "-c timescaledb.restoring=on"})
    restoring = Archive(url.render_as_string(hide_password=False))
    with closing(restoring), pytest.raises(Refused, match="being restored"):
        list(load_pending(restoring, rig.intake, METRICS))
    assert [loaded.inserted for loaded in rig.load(METRICS)] == [1]
    assert rig.query("select count(*) from metrics_data") == [(1,)]
