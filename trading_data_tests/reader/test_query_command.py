"""`trading-data query` writes as it reads, says what is missing, and leaves no half file that looks whole."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from trading_data.cli import query
from trading_data.cli.main import group
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import ArchiveTierError
from trading_data.times import now
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

RANGE = ["--start", "2026-11-20", "--end", "2026-11-23"]


def run(*arguments: str) -> tuple[bytes, list[str]]:
    done = CliRunner().invoke(group, ["query", *arguments, *RANGE])
    assert done.exit_code == 0, done.output
    return done.stdout_bytes, done.stderr.splitlines()


def test_in_several_windows_it_is_one_file(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_WINDOW_ROWS", 4)
    rig.store.record_trades([fill(f"o{at}", minute=at, price=Decimal("0.000000000000000001")) for at in range(9)])
    rig.archive_all(TRADE)
    rig.store.record_trades([fill("late", minute=-1, timestamp=MOMENT + timedelta(microseconds=5))])
    text, message = run("trades", "--format", "csv")
    lines = text.decode().splitlines()
    assert lines[0] == ",".join([*TRADE.names, "tier"])
    assert lines[1] == "late,2026-11-20T15:00:00.000005Z,e1,AAPL,buy,10,11.25,0.5,momentum,test,live"
    assert lines[2] == "o0,2026-11-20T15:00:00.000000Z,e1,AAPL,buy,10,0.000000000000000001,0.5,momentum,test,archive"
    assert (len(lines), message) == (11, [])
    data, message = run("trades", "--format", "parquet")
    file = pq.ParquetFile(io.BytesIO(data))
    assert (file.num_row_groups, message) == (4, [])
    assert file.read().num_rows == 10
    assert file.schema_arrow.field("price").type == pa.decimal128(38, 18)
    assert json.loads(file.metadata.metadata[b"missing"]) == []


def test_odd_texts_come_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_WINDOW_ROWS", 1)
    odd = ['a,"b"', "", "plain", "two\nlines", "'"]
    rig.store.record_trades([fill(f"o{at}", minute=at, strategy=text) for at, text in enumerate(odd)])
    text, _ = run("trades", "--format", "csv")
    frame = pd.read_csv(io.BytesIO(text), keep_default_na=False)
    assert frame["strategy"].tolist() == odd
    assert frame["quantity"].tolist() == [10] * 5


def test_partial_says_what_is_missing_on_standard_error(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(3)])
    monkeypatch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres@127.0.0.1:1/x")
    for form in ("table", "csv", "parquet"):
        data, (text,) = run("prices", "--partial", "--format", form)
        assert text.startswith("missing: archive: away (")
        assert data
    assert len(json.loads(pq.read_metadata(io.BytesIO(data)).metadata[b"missing"])) == 1


def test_only_a_session_and_nothing_at_all(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in (-60, 0)])
    assert run("prices", "--session", "XNYS", "--format", "csv")[0].count(b"\n") == 2
    assert run("metrics", "--format", "csv")[0] == b"metric_name,timestamp,value,unit,tier\n"
    assert pq.read_table(io.BytesIO(run("metrics", "--format", "parquet")[0])).num_rows == 0
    rig.archive_all(PRICE)
    assert run("prices", "--session", "XNYS", "--interval", "1d")[0].decode().split()[-1] == "archive"


def test_a_file_that_was_broken_off_cannot_be_read() -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({"missing": "[]"})

    def tables() -> Iterator[pa.Table]:
        yield table
        raise ArchiveTierError("away")

    sink = io.BytesIO()
    with pytest.raises(ArchiveTierError):
        query.write_parquet(tables(), sink)
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(sink.getvalue()))
    sink = io.BytesIO()
    query.write_parquet(iter([table]), sink)
    assert pd.read_parquet(sink)["a"].tolist() == [1]


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["query", *arguments])


def test_without_a_range_it_is_the_last_day(rig: Rig) -> None:
    moment = now().replace(microsecond=0)
    ages = [timedelta(minutes=1), timedelta(hours=23), timedelta(hours=25)]
    rig.store.record_prices([bar("A", timestamp=moment - age) for age in ages])
    done = asked("prices", "A", "--format", "csv")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 3)
    assert done.stderr.startswith("note: rows from ")
    done = asked("prices", "A", "--format", "csv", "--end", f"{moment - timedelta(hours=24):%Y-%m-%dT%H:%M:%SZ}")
    assert len(done.stdout.splitlines()) == 2
    done = asked("prices", "A", "--format", "csv", "--start", f"{moment - timedelta(hours=26):%Y-%m-%dT%H:%M:%SZ}")
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize("form", ["table", "csv", "parquet"])
def test_a_symbol_that_nobody_knows_is_told_with_those_like_it(rig: Rig, form: str) -> None:
    rig.store.record_prices([bar(name) for name in ("AAPL", "GOOG")])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("AAPLX")])
    done = asked("prices", "aapl", "--format", form, *RANGE)
    assert done.exit_code == 1
    assert "prices: there is no row of aapl; there are AAPL, AAPLX" in done.stderr
    done = asked("prices", "aapl", "GOOG", "--format", form, *RANGE)
    assert (done.exit_code, "no row of aapl" in done.stderr, "GOOG" in done.stderr) == (0, True, False)
    done = asked("prices", "GOOG", "AAPLX", "--format", form, "--start", "2026-11-01", "--end", "2026-11-02")
    assert (done.exit_code, done.stderr) == (0, "")


def test_other_datasets_know_their_names_too(rig: Rig) -> None:
    rig.store.record_trades([fill()])
    rig.store.record_metrics([measurement("latency")])
    assert asked("trades", "AAPL", "--start", "2026-11-01", "--end", "2026-11-02").exit_code == 0
    rig.archive_all(METRICS)
    done = asked("metrics", "latencies", *RANGE)
    assert (done.exit_code, done.stderr) == (1, "metrics: there is no row of latencies; there are latency\n")
    assert asked("trades", "nothing like it", *RANGE).stderr == "trades: there is no row of nothing like it\n"


@pytest.mark.parametrize(("interval", "buckets"), [("15m", 6), ("30m", 3), ("4h", 2)])
def test_intervals_without_a_view(rig: Rig, interval: str, buckets: int) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(60)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", minute) for minute in range(60, 90)])
    lines = run("prices", "--interval", interval, "--format", "csv")[0].decode().splitlines()
    assert (len(lines) - 1, lines[-1].split(",")[-1]) == (buckets, "live")
