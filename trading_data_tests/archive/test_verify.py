"""Each kind of damage is detected and named, and a healthy system has no fault at any stage of an archival."""

import json
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trading_data.archive.verify.run import AuditResult, accounts_balance, verify
from trading_data.cli.main import group
from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

DAY = MOMENT.date()


def faults(rig: Rig, deep: bool = False) -> list[tuple[str, date | None, str]]:
    results = verify(rig.client, rig.archive, rig.intake, deep=deep)
    return [(result.dataset, result.day, result.what) for result in results if not result.ok]


def the_fault(rig: Rig, deep: bool = False) -> AuditResult:
    (fault,) = [result for result in verify(rig.client, rig.archive, rig.intake, deep=deep) if not result.ok]
    assert fault.command
    return fault


def filled(rig: Rig) -> None:
    """Rows of two days, a correction, repeats and quarantined entries in every dataset."""
    late = MOMENT - timedelta(days=40)
    for close in (11.0, 10.5, 10.5):
        rig.store.record_prices([bar("A", close=close), bar("B", 1), bar("A", timestamp=late, close=close)])
        rig.store.record_metrics([measurement("m", minute, value=close) for minute in range(3)])
        rig.store.record_trades([fill("o1", "e1", quantity=fill().quantity + int(close)), fill("o1", "e1", 1500)])
        rig.entry("journal:trade", {"x": "y"})
        rig.entry("journal:price:A", {"x": "y"})
        for dataset in DATASETS.values():
            rig.archive_all(dataset)


def test_nothing_is_found_at_any_stage_of_an_archival(rig: Rig) -> None:
    assert faults(rig, deep=True) == []
    for attempt in range(2):
        for minute in range(3):
            rig.store.record_prices([bar("A", minute, close=10.0 + attempt), bar("B", minute)])
            rig.store.record_metrics([measurement("m", minute, value=float(attempt))])
            rig.store.record_trades([fill(f"o{minute}", f"e{attempt}")])
        rig.entry("journal:price:é", {"x": b"\xff"})
        assert faults(rig) == []
        for dataset in DATASETS.values():
            rig.snapshot(dataset, batch_entries=4)
        assert faults(rig, deep=True) == []
        for dataset in DATASETS.values():
            rig.load(dataset)
        assert faults(rig, deep=True) == []
        for dataset in DATASETS.values():
            rig.trim(dataset)
            rig.refresh(dataset)
        assert faults(rig, deep=True) == []
    assert all(accounts_balance(rig.archive, dataset).ok for dataset in DATASETS.values())
    (message,) = [
        result.message
        for result in verify(rig.client, rig.archive, rig.intake)
        if (result.dataset, result.what) == ("price", "journals")
    ]
    assert message == "14 entries added to 3 journals: 14 archived, 0 waiting, 0 not drained, 0 missing"


def test_what_a_killed_run_leaves_is_no_fault(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(5)])
    noted = rig.client.hgetall("archive:drained:price")
    (drained,) = rig.snapshot(PRICE)
    data = Path(drained.file.path).read_bytes()
    rig.client.delete("archive:drained:price")  # killed before it was noted
    assert (noted, faults(rig)) == ({}, [])
    rig.load(PRICE)
    assert faults(rig) == []
    Path(drained.file.path).write_bytes(data)  # killed before it was deleted
    assert faults(rig) == []
    rig.store.record_prices([bar("A", 5)])
    assert faults(rig) == []
    rig.archive_all(PRICE)
    assert faults(rig, deep=True) == []


def test_a_journal_that_was_emptied_proves_nothing(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(5)])
    rig.archive_all(PRICE)
    rig.client.flushdb()
    for _ in range(2):
        results = [result for result in verify(rig.client, rig.archive, rig.intake) if result.what == "journals"]
        assert "the sums differ" in results[0].message
        assert all(result.ok for result in results)
        rig.store.record_prices([bar("A", 7), bar("A", 6)])
        rig.archive_all(PRICE)
    assert faults(rig) == []


def test_verify_while_archival_is_in_flight(rig: Rig) -> None:
    stop = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        other = Rig(rig.settings)
        while not stop.is_set():
            wrong.extend(faults(other))
        other.close()

    thread = threading.Thread(target=look)
    thread.start()
    for minute in range(6):
        rig.store.record_prices([bar("A", minute), bar("B", minute), bar("B", minute, close=9.5)])
        rig.archive_all(PRICE)
    stop.set()
    thread.join()
    assert wrong == []


def test_damage_in_the_tables(rig: Rig) -> None:
    filled(rig)
    assert faults(rig) == []
    late = DAY - timedelta(days=40)
    rig.query("delete from price_data where symbol = 'B' returning 1")
    rig.query("update price_data set batch_id = 1000000 where symbol = 'A' and timestamp = %s returning 1", MOMENT)
    rig.query("select drop_chunks('price_data', older_than => '2026-11-01 00:00Z'::timestamptz)")
    rig.query("delete from archive_revision where dataset = 'price' returning 1")
    rig.query("delete from archive_range where journal = 'journal:price:B' returning 1")
    rig.query("delete from archive_quarantine where dataset = 'trade' returning 1")
    expected = [
        ("price", None, "missing", "2 entries had been removed before they could be drained, from journal:price:B (2)"),
        ("price", None, "ranges", "the archived ranges count 9 entries, the ledger 12 offered by journals"),
        ("price", None, "books", "archive_revision has 0 rows, the ledger counts 2 replaced"),
        ("price", late, "chunk", "the ledger counts 1 inserted row, but price_data no longer has a chunk"),
        ("price", DAY, "rows", "price_data holds 1 row, the ledger counts 2 inserted"),
        ("price", DAY, "batches", "1 row belongs to batches that are not in the ledger, such as 1000000"),
        ("price", late, "coverage", "price_data holds 0 rows, its coverage counts 1"),
        ("price", DAY, "coverage", "price_data holds 1 row, its coverage counts 2"),
        ("trade", None, "books", "archive_quarantine has 0 rows, the ledger counts 3 quarantined"),
    ]
    faulty = [result for result in verify(rig.client, rig.archive, rig.intake) if not result.ok]
    assert [(fault.dataset, fault.day, fault.what) for fault in faulty] == [fault[:3] for fault in expected]
    assert [text for fault, (*_, text) in zip(faulty, expected, strict=True) if text not in fault.message] == []
    assert all(fault.command for fault in faulty)
    balance = accounts_balance(rig.archive, PRICE, [DAY])
    assert not balance.ok
    assert "2026-11-20: price_data holds 1 row" in balance.message
    assert str(late) not in balance.message
    assert accounts_balance(rig.archive, METRICS).ok


def test_a_doctored_ledger_row(rig: Rig) -> None:
    filled(rig)
    rig.query(
        """
        insert into archive_ledger
        select nextval('archive_batch'), dataset, 'made up', 'file', '', '', drained_at, archived_at, journals, offered,
               inserted, replaced, unchanged, quarantined, replayed, missing, subjects, first_timestamp, last_timestamp, '{}'
        from archive_ledger where dataset = 'price' order by batch_id limit 1 returning 1
        """
    )
    assert set(faults(rig)) == {("price", None, "ledger"), ("price", None, "books")}


def test_a_flipped_byte_in_a_waiting_batch(rig: Rig) -> None:
    rig.store.record_metrics([measurement()])
    (drained,) = rig.snapshot(METRICS)
    path = Path(drained.file.path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    fault = the_fault(rig)
    assert (fault.dataset, fault.what) == ("metrics", "intake")
    assert path.name in fault.message


def test_entries_that_were_trimmed_before_they_were_drained(rig: Rig) -> None:
    rig.store.record_prices([bar("A")])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", minute) for minute in range(1, 5)])
    rig.client.xtrim("journal:price:A", maxlen=1, approximate=False)
    fault = the_fault(rig)
    assert (fault.what, "3 entries are lost, from journal:price:A (3)" in fault.message) == ("journals", True)
    rig.archive_all(PRICE)
    fault = the_fault(rig)
    assert fault.what == "gaps"
    assert fault.message.startswith("1 range of entries (3 entries) is neither archived, nor in")
    assert "their journals: journal:price:A after " in fault.message


def test_a_journal_that_went_back(rig: Rig) -> None:
    for second in range(1, 6):
        rig.entry_at("journal:metrics", f"{second}000-0", measurement("m", second))
    rig.archive_all(METRICS)
    rig.client.delete("journal:metrics")
    rig.entry_at("journal:metrics", "3000-0", measurement("m", 3))
    fault = the_fault(rig)
    assert (
        fault.what,
        "1 journal went back to an earlier state or was created again since last archived, such as journal:metrics"
        in fault.message,
    ) == (
        "went back",
        True,
    )
    rig.archive_all(METRICS)
    assert faults(rig) == []


def test_deep_finds_an_aggregate_that_differs_from_raw(rig: Rig) -> None:
    filled(rig)
    rig.query("update price_data set high = 99 where symbol = 'B' returning 1")
    assert faults(rig) == []
    faulty = [fault for fault in verify(rig.client, rig.archive, rig.intake, deep=True) if not fault.ok]
    assert {(fault.day, fault.what) for fault in faulty} == {(DAY, "aggregates")}
    assert [fault.message.partition(" ")[0] for fault in faulty] == [aggregate.name for aggregate in PRICE.aggregates]


def test_deep_reads_waiting_batches_in_full(rig: Rig) -> None:
    rig.store.record_trades([fill()])
    (drained,) = rig.snapshot(TRADE)
    other = Path(drained.file.path.replace("/trade/", "/metrics/"))
    other.parent.mkdir()
    other.write_bytes(Path(drained.file.path).read_bytes())
    fault = the_fault(rig, deep=True)
    assert (fault.dataset, fault.what) == ("metrics", "intake")


def test_the_command(rig: Rig) -> None:
    filled(rig)
    done = CliRunner().invoke(group, ["verify", "--deep"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert [line.partition(":")[0] for line in lines[5:]] == [f"{name} balances" for name in DATASETS]
    assert lines[4].startswith("offered = inserted + replaced + unchanged + quarantined + replayed;")
    assert lines[0].split()[:6] == ["offered", "inserted", "replaced", "unchanged", "quarantined", "replayed"]
    assert lines[0].split()[6:] == ["missing", "in", "journals", "in", "intake"]
    for name, line in zip(DATASETS, lines[1:4], strict=True):
        dataset, offered, *counts, _missing, journals, batches = line.split()
        assert (dataset, int(offered), journals, batches) == (name, sum(map(int, counts)), "0", "0")
    rig.query("delete from metrics_data where timestamp = %s returning 1", MOMENT)
    done = CliRunner().invoke(group, ["verify"])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[5].startswith("metrics 2026-11-20: rows: metrics_data holds 2 rows")
    assert "metrics does not balance: 2 findings" in lines
    done = CliRunner().invoke(group, ["verify", "--json"])
    assert (done.exit_code, json.loads(done.output)["balances"]) == (1, False)


def test_table_and_lines_agree_although_a_load_comes_in_between(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_prices([bar("A")])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 1)])

    def slow(*arguments: Any, **options: Any) -> list[AuditResult]:
        results = verify(*arguments, **options)
        rig.archive_all(PRICE)
        return results

    monkeypatch.setattr("trading_data.cli.audit.verify", slow)
    output = CliRunner().invoke(group, ["verify"]).output
    (table,) = [
        line.split() for line in output.splitlines() if line.split()[:1] == ["price"] and "balances" not in line
    ]
    assert table[1:3] == ["2", "2"]
    assert "price balances: 0 batches wait; 2 entries added to 1 journal: 2 archived" in output


def test_what_waits_is_in_the_account_with_its_place(rig: Rig) -> None:
    rig.store.record_prices([bar("A"), bar("B")])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 1), bar("B", 1), bar("C", 1)])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", 2)])
    accounts = json.loads(CliRunner().invoke(group, ["verify", "--json"]).output)["accounts"]
    price = accounts["price"]
    assert (price["offered"], price["inserted"], price["in_journals"], price["in_intake"]) == (2, 2, 1, 3)
    assert set(accounts) == set(DATASETS)
    output = CliRunner().invoke(group, ["verify"]).output
    assert "price balances: 1 batch waits;" in output
    assert "6 entries added to 3 journals: 2 archived, 3 waiting, 1 not drained, 0 missing" in output
