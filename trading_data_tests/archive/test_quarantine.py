"""Quarantine as a tool: what was rejected goes through the same door again, once, or waits on; nothing of it is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from trading_data.archive.ledger import Loaded
from trading_data.archive.quarantine.queries import Edits, Retried, discard, listing, retry, show
from trading_data.archive.quarantine.rejects import journal_name, ledger_name
from trading_data.cli.main import group
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput, Refused
from trading_data.intake.import_rows import import_rows
from trading_data.intake.poll_latest import poll_latest
from trading_data.sources.files.read import read_table
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, fill, measurement, refuse

METRIC = {"metric_name": "latency", "timestamp": MOMENT.isoformat(), "value": "fast", "unit": "ms"}
LATER = (MOMENT + timedelta(minutes=1)).isoformat()
LOAD = """
from trading_data.archive.database import Archive
from trading_data.archive.load import load_pending
from trading_data.datasets import METRICS
from trading_data.intake.store import Intake
from trading_data.settings import Settings
given = Settings.from_env()
list(load_pending(Archive(given.require_timescale_url()), Intake(given.intake_uri), METRICS))
"""


def waiting(rig: Rig) -> list[int]:
    """Oldest first."""
    return [entry.quarantine_id for entry in reversed(listing(rig.archive, None, None, 100))]


def send(rig: Rig, *ids: int, edits: Edits | None = None, **which: Any) -> Retried:
    return retry(rig.archive, rig.intake, ids=ids, earliest=EARLIEST, edits=edits, **which)


def counts(loaded: Loaded) -> tuple[int, ...]:
    numbers = (loaded.inserted, loaded.replaced, loaded.unchanged, loaded.quarantined, loaded.replayed)
    assert loaded.offered == sum(numbers)
    return numbers


def rejected(rig: Rig, dataset: Dataset, journal: str, fields: dict[Any, Any]) -> int:
    rig.entry(journal, fields)
    rig.archive_all(dataset)
    return waiting(rig)[-1]


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(group, ["quarantine", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_a_corrected_entry_becomes_a_row_that_leads_back_to_it(rig: Rig) -> None:
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    kept = show(rig.archive, number)
    sent = send(rig, number, edits={"value": "2.5"})
    assert [(batch.rows, batch.rejected) for batch in sent.batches] == [(1, 0)]
    assert waiting(rig) == [number]
    (loaded,) = rig.load(METRICS)
    assert counts(loaded) == (1, 0, 0, 0, 0)
    assert rig.query("select metric_name, value from metrics_data") == [("latency", 2.5)]
    ((origin, run_id, journals),) = rig.query(
        "select origin, snapshot_run, journals from archive_ledger join metrics_data using (batch_id)"
    )
    assert (origin, run_id) == ("quarantine", "quarantine retry, value=2.5")
    assert [(journal["journal"], journal["first"]) for journal in journals] == [("journal:metrics", kept.entry_id)]
    after = show(rig.archive, number)
    assert (after.settled, after.payload, after.kind) == ("retried", kept.payload, kept.kind)
    assert after.reason == f"{kept.reason}; retried in batch {loaded.batch_id}"
    assert waiting(rig) == []
    ((accepted,),) = rig.query(
        "select sum(inserted + replaced + unchanged + quarantined) from archive_ledger where origin = 'journal'"
    )
    assert accepted == rig.accepted(METRICS) == 1


def test_an_entry_that_fails_again_waits_again_with_its_new_reason(rig: Rig) -> None:
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    kept = show(rig.archive, number)
    for edits, kind in (({"timestamp": "soon"}, "not a time"), ({"value": "nan"}, "not finite"), ({}, kept.kind)):
        send(rig, number, edits=edits)
        (loaded,) = rig.load(METRICS)
        assert counts(loaded) == (0, 0, 0, 0, 1)
        (again,) = listing(rig.archive, METRICS, kind, 10)
        assert (again.quarantine_id, again.settled, again.since) == (number, None, kept.since)
        assert show(rig.archive, number).payload == kept.payload
    send(rig, number, edits={"value": "1"})
    assert counts(rig.load(METRICS)[0]) == (1, 0, 0, 0, 0)


def test_retrying_twice_loads_once(rig: Rig, tmp_path: Path) -> None:
    """Also where the second retry, made before the first was loaded, would go to another key; and with the file again."""
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    (first,) = send(rig, number, edits={"value": "1"}).batches
    send(rig, number, edits={"value": "2", "timestamp": LATER})
    copy = shutil.copy(first.file.path, tmp_path / "copy")
    assert [counts(loaded) for loaded in rig.load(METRICS)] == [(1, 0, 0, 0, 0), (0, 0, 0, 0, 1)]
    shutil.copy(copy, first.file.path)
    assert [loaded.already for loaded in rig.load(METRICS)] == [True]
    again = send(rig, number, edits={"value": "3"})
    assert (again.batches, again.settled) == ((), {number: "retried"})
    assert rig.query("select timestamp, value from metrics_data") == [(MOMENT, 1.0)]


@pytest.mark.parametrize("point", ["load.begun", "load.rows", "load.ledger", "load.committed"])
def test_a_load_that_is_killed_neither_loses_nor_doubles(rig: Rig, point: str) -> None:
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    rig.entry("journal:metrics", METRIC)
    rig.archive_all(METRICS)
    send(rig, dataset=METRICS, kind="not a number", edits={"value": "1"})
    send(rig, number, edits={"value": "2", "timestamp": LATER})
    killed = subprocess.run(
        [sys.executable, "-c", LOAD], env={**os.environ, "TRADING_DATA_KILL_AT": point}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(waiting(rig)) == (0 if point == "load.committed" else 2)
    rig.load(METRICS)
    assert waiting(rig) == []
    assert rig.query("select timestamp, value from metrics_data") == [(MOMENT, 1.0)]
    books = rig.query("select inserted, unchanged, replayed from archive_ledger where origin = 'quarantine' order by 1")
    assert books == [(0, 0, 1), (1, 1, 0)]


def test_a_fill_that_is_to_be_another_one_is_shown_and_both_are_kept(rig: Rig) -> None:
    """An earlier release refused it, for the execution is there on another day."""
    rig.store.record_trades([fill("o1", "e1")])
    rig.archive_all(TRADE)
    refuse(rig, fill("o1", "e1", 1500, price=Decimal("11.30")))
    rig.query("update archive_quarantine set kind = 'another day' returning 1")
    shown = run("list", "trades", "--kind", "another day").splitlines()
    (number,) = waiting(rig)
    assert shown[0].startswith("trade: 1 another day since 2")
    assert shown[1].startswith(f"{number}  ")
    assert "  execution_id: e1" in run("show", str(number)).splitlines()
    run("retry", str(number), "--set", "execution_id=e2")
    assert counts(rig.load(TRADE)[0]) == (1, 0, 0, 0, 0)
    assert rig.query("select execution_id, price from trade_data order by timestamp") == [
        ("e1", Decimal("11.25")),
        ("e2", Decimal("11.30")),
    ]
    assert run("list") == "no entry waits in quarantine\n"


def test_broken_utf8_is_listed_shown_and_retried(rig: Rig) -> None:
    fields: dict[Any, Any] = {**METRIC, "value": "1", "unit": b"\xff\x1b[2J", b"\xfe\x00": b"?"}
    number = rejected(rig, METRICS, "journal:metrics", fields)
    assert "journal:metrics" in run("list")
    listed = run("show", str(number)).splitlines()
    assert "  unit: \\xff\\x1b[2J" in listed
    assert "  \\xfe\\x00: ?" in listed
    assert dict(show(rig.archive, number).fields)["unit"] == "\udcff\x1b[2J"
    send(rig, number, edits={"\udcfe\0": None})
    rig.load(METRICS)
    assert show(rig.archive, number).kind == "not UTF-8"
    send(rig, number, edits={"\udcfe\0": None, "unit": "ms"})
    assert counts(rig.load(METRICS)[0]) == (1, 0, 0, 0, 0)


def test_a_journal_whose_name_is_not_utf8(rig: Rig) -> None:
    entry = {**dict.fromkeys(PRICE.fields, "1"), "timestamp": MOMENT.isoformat(), "source": "x"}
    rig.client.xadd(b"journal:price:A\xff\\", entry)  # type: ignore[arg-type]
    rig.archive_all(PRICE)
    (number,) = waiting(rig)
    assert "A\\xff" in run("list", "prices")
    send(rig, number)
    assert counts(rig.load(PRICE)[0]) == (0, 0, 0, 0, 1)
    send(rig, number, edits={"symbol": "A"})
    assert counts(rig.load(PRICE)[0]) == (1, 0, 0, 0, 0)
    assert rig.query("select symbol, close from price_data") == [("A", 1.0)]
    ((journals,),) = rig.query("select journals from archive_ledger join price_data using (batch_id)")
    assert journals[0]["journal"] == show(rig.archive, number).journal


@given(st.text(st.sampled_from("aé\\x0\0f\udcff\udc80")))
def test_a_journals_name_comes_back(name: str) -> None:
    assert journal_name(ledger_name(name)) == bytes_name(name)


def bytes_name(name: str) -> str:
    """The name that a key with these bytes has."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def test_rows_of_files_and_latest_values_are_retried_like_entries(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    rows = ["A,2026-11-20T15:00:00,1,2,0.5,1.5,10,file", "B,2026-11-20T15:00:00Z,1,2,0.5,1.5,10,"]
    file.write_text("symbol,timestamp,open,high,low,close,volume,source\n" + "\n".join(rows) + "\n")
    list(import_rows(rig.intake, PRICE, str(file), read_table(PRICE, str(file)), origin="file", earliest=EARLIEST))
    latest: dict[Any, Any] = {
        "open": 1,
        "high": 2,
        "low": 1,
        "close": 1,
        "volume": "?",
        "timestamp": MOMENT.isoformat(),
        "source": "c",
    }
    rig.client.hset("stocks:price:C", mapping=latest)
    poll_latest(rig.client, rig.intake, PRICE, earliest=EARLIEST)
    rig.load(PRICE)
    a, b, c = waiting(rig)
    send(rig, a, edits={"timestamp": MOMENT.isoformat()})
    send(rig, b, edits={"source": "file", "symbol": "BB"})
    send(rig, c, edits={"volume": "5"})
    assert [counts(batch) for batch in rig.load(PRICE)] == [(1, 0, 0, 0, 0)] * 3
    found = rig.query("select symbol, volume, journals from price_data join archive_ledger using (batch_id) order by 1")
    assert [(symbol, volume) for symbol, volume, _ in found] == [("A", 10.0), ("BB", 10.0), ("C", 5.0)]
    names = [(journals[0]["journal"], journals[0]["first"]) for *_, journals in found]
    assert names[:2] == [(str(file), "row 1"), (str(file), "row 2")]
    assert names[2][0] == "stocks:price:C"
    assert waiting(rig) == []


def test_a_missing_value_is_shown_and_goes_on_missing(rig: Rig) -> None:
    table = {name: [None if name == "close" else "1"] for name in PRICE.names}
    list(import_rows(rig.intake, PRICE, "a.parquet", [pa.table(table)], origin="file", earliest=EARLIEST))
    rig.load(PRICE)
    (number,) = waiting(rig)
    assert "  close: (missing)" in run("show", str(number)).splitlines()
    send(rig, number, edits={"timestamp": MOMENT.isoformat()})
    rig.load(PRICE)
    assert (show(rig.archive, number).kind, show(rig.archive, number).reason) == ("missing field", "missing close")


def test_a_retry_replaces_older_values_and_never_newer_ones(rig: Rig) -> None:
    rig.store.record_metrics([measurement(value=1.0)])
    rig.archive_all(METRICS)
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    send(rig, number, edits={"value": "2"})
    assert counts(rig.load(METRICS)[0]) == (0, 1, 0, 0, 0)
    assert rig.query("select old->>'value' from archive_revision")[0][0] in ("1", "1.0")
    late = rejected(rig, METRICS, "journal:metrics", METRIC)
    rig.store.record_metrics([measurement(value=4.0)])
    rig.archive_all(METRICS)
    send(rig, late, edits={"value": "3"})
    assert counts(rig.load(METRICS)[0]) == (0, 1, 0, 0, 0)
    assert rig.query("select value from metrics_data") == [(4.0,)]
    assert rig.query("select (old->>'value')::float8 from archive_revision order by revision_id desc limit 1") == [
        (3.0,)
    ]
    assert waiting(rig) == []


def test_a_retry_from_the_batch_of_the_row_cannot_be_ordered_and_waits_on(rig: Rig) -> None:
    """The archive remembers of a row the range of its batch, not its entry."""
    rig.entry("journal:metrics", METRIC)
    rig.store.record_metrics([measurement(value=4.0)])
    rig.archive_all(METRICS)
    (number,) = waiting(rig)
    send(rig, number, edits={"value": "3"})
    assert counts(rig.load(METRICS)[0]) == (0, 0, 0, 0, 1)
    (again,) = listing(rig.archive, METRICS, "cannot be ordered", 9)
    assert again.quarantine_id == number
    assert rig.query("select value from metrics_data") == [(4.0,)]
    send(rig, number, edits={"value": "4"})
    assert counts(rig.load(METRICS)[0]) == (0, 0, 1, 0, 0)
    assert waiting(rig) == []


def test_discard_keeps_the_row_whole_and_stops_a_retry_under_way(rig: Rig) -> None:
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    kept = show(rig.archive, number)
    send(rig, number, edits={"value": "1"})
    assert "is discarded" in run("discard", str(number), "--reason", "a test of ours")
    after = show(rig.archive, number)
    assert (after.settled, after.payload) == ("discarded", kept.payload)
    assert after.reason == f"{kept.reason}; discarded: a test of ours"
    assert counts(rig.load(METRICS)[0]) == (0, 0, 0, 0, 1)
    assert rig.query("select count(*) from metrics_data") == [(0,)]
    assert f"{number} is discarded already" in run("retry", str(number))
    other = rejected(rig, METRICS, "journal:metrics", METRIC)
    with pytest.raises(Refused, match=f"settled already are {number} \\(discarded\\)"):
        discard(rig.archive, [other, number], "both")
    assert waiting(rig) == [other]


def test_a_retry_that_outlives_a_restore_is_quarantined_whole_again(rig: Rig) -> None:
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    payload = show(rig.archive, number).payload
    send(rig, number, edits={"value": "1"})
    with rig.archive.transaction() as cursor:
        cursor.execute("delete from archive_quarantine")
    assert counts(rig.load(METRICS)[0]) == (0, 0, 0, 1, 0)
    (again,) = waiting(rig)
    assert show(rig.archive, again).payload == payload
    send(rig, again, edits={"value": "1"})
    assert counts(rig.load(METRICS)[0]) == (1, 0, 0, 0, 0)


def test_wrong_use_does_nothing(rig: Rig) -> None:
    number = rejected(rig, METRICS, "journal:metrics", METRIC)
    with pytest.raises(BadInput, match="have no field 'valu'"):
        send(rig, number, edits={"valu": "1"})
    with pytest.raises(BadInput, match=f"no quarantined entry {number + 7}"):
        send(rig, number, number + 7)
    with pytest.raises(BadInput, match="name the entries to retry"):
        send(rig, dataset=METRICS)
    with pytest.raises(Refused, match="name the entries by their ids"):
        discard(rig.archive, [], "all of them")
    for arguments in (["discard", "--reason", "x"], ["discard", "1"], ["retry"], ["retry", "1", "--set", "value"]):
        run(*arguments, code=2)
    assert rig.intake.pending("metrics") == []
    assert waiting(rig) == [number]
    assert json.loads(show(rig.archive, number).payload)["journal"] == "journal:metrics"
