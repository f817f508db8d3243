"""Daily history: imported by its own command, loaded with the bars, read in days where there are no minutes."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from trading_data.archive.schema.drift import archive_drift
from trading_data.archive.verify.run import verify
from trading_data.cli.main import group
from trading_data.datasets import DAILY, PRICE
from trading_data.errors import BadInput
from trading_data.intake.import_rows import import_rows
from trading_data.orchestration.build import build_defs
from trading_data.reader.rows import NOTE
from trading_data_tests.orchestration.ticks import materializations, run_archive, tick
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar

START, END = "2006-01-01", "2026-11-23"
DAYS = pd.bdate_range("2006-01-02", "2026-11-20", tz="UTC")


def daily(days: pd.DatetimeIndex, *symbols: str, close: float = 50.0) -> pd.DataFrame:
    frame = pd.DataFrame({"timestamp": days.as_unit("us")}).merge(
        pd.DataFrame({"symbol": symbols or ("A",)}), how="cross"
    )
    frame = frame.assign(open=40.0, high=60.0, low=30.0, close=close, volume=1000.0, source="vendor")
    return frame[list(DAILY.names)]


def bring(rig: Rig, frame: pd.DataFrame, *, load: bool = True) -> None:
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    list(import_rows(rig.intake, DAILY, "days.csv", [table], origin="file", earliest=EARLIEST))
    if load:
        rig.load(DAILY)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(group, arguments)


@pytest.fixture
def rows(rig: Rig) -> Rig:
    """Twenty years of days of A and B; minutes of A on the last day, two hours of which wait in the journal."""
    rig.store.record_prices([bar("A", minute) for minute in range(3)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 200, close=12.0)])
    bring(rig, daily(DAYS, "A", "B"))
    return rig


def test_minutes_win_and_days_stand_where_there_are_none(rows: Rig) -> None:
    frame = rows.reader.prices(None, START, END, "1d")
    assert frame.columns.tolist() == ["symbol", "bucket", "open", "high", "low", "close", "volume", "tier"]
    assert str(frame["bucket"].dtype) == "datetime64[us, UTC]"
    assert frame["symbol"].tolist() == ["A"] * len(DAYS) + ["B"] * len(DAYS)
    assert frame["bucket"].tolist() == [*DAYS, *DAYS]
    of_a = frame[frame["symbol"] == "A"]
    assert of_a["close"].tolist() == [50.0] * (len(DAYS) - 1) + [12.0]
    assert of_a["volume"].tolist() == [1000.0] * (len(DAYS) - 1) + [400.0]
    assert of_a["tier"].tolist() == ["archive"] * (len(DAYS) - 1) + ["live"]
    assert frame.attrs == {"missing": (), "notes": (NOTE,)}
    last = rows.reader.prices("A", MOMENT.replace(hour=0), END, "1d", format="arrow")
    assert (last.num_rows, json.loads(last.schema.metadata[b"notes"])) == (1, [])


def test_no_aggregate_has_a_day_in_it(rows: Rig) -> None:
    rows.refresh(PRICE)
    for name in ("price_5m", "price_1h", "price_1d"):
        assert rows.query(f"select distinct symbol, bucket::date::text from {name}") == [("A", "2026-11-20")]
    for interval in ("raw", "5m", "1h"):
        frame = rows.reader.prices(None, START, END, interval)
        assert set(frame["symbol"]) == {"A"}
        assert frame.attrs["notes"] == ()
    assert set(rows.reader.prices(None, START, END, "1d", session="XNYS")["symbol"]) == {"A"}


def test_the_days_themselves_with_their_sources(rows: Rig) -> None:
    frame = rows.reader.read("daily", "A", START, END)
    assert len(frame) == len(DAYS)
    assert set(frame["source"]) == {"vendor"}


@pytest.mark.parametrize(
    ("chunk", "most"), [(timedelta(days=1), None), (timedelta(days=366), 100), (timedelta(days=30), 1)]
)
def test_a_stream_has_them_once_and_in_order(rig: Rig, chunk: timedelta, most: int | None) -> None:
    days = DAYS[-30:]
    for day in (3, 4, 20):
        at = days[day].to_pydatetime() + timedelta(hours=15)
        rig.store.record_prices([bar("A", timestamp=at), bar("C", timestamp=at)])
    rig.archive_all(PRICE)
    bring(rig, daily(days, "A", "B"))
    first = days[0].to_pydatetime()
    parts = list(rig.reader.stream("price", None, first, END, "1d", chunk=chunk, rows=most))
    everything = rig.reader.prices(None, first, END, "1d")
    assert len(everything) == 63
    joined = pd.concat(parts)
    pd.testing.assert_frame_equal(
        joined.sort_values(["symbol", "bucket"], ignore_index=True), everything.reset_index(drop=True)
    )
    ends = [(part["bucket"].min(), part["bucket"].max()) for part in parts]
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    (none,) = rig.reader.stream("price", "NOBODY", first, END, "1d")
    assert (len(none), none.columns.tolist()) == (0, everything.columns.tolist())


def test_days_on_their_way_are_read_and_a_correction_replaces(rig: Rig) -> None:
    bring(rig, daily(DAYS[-2:]), load=False)
    frame = rig.reader.prices("A", START, END, "1d")
    assert (frame["close"].tolist(), frame["tier"].tolist()) == ([50.0, 50.0], ["live", "live"])
    rig.load(DAILY)
    before = datetime.now(UTC)
    bring(rig, daily(DAYS[-1:], close=55.0))
    assert rig.reader.prices("A", START, END, "1d")["close"].tolist() == [50.0, 55.0]
    assert rig.reader.prices("A", START, END, "1d", as_of=before)["close"].tolist() == [50.0, 50.0]
    assert rig.query("select count(*) from archive_revision where dataset = 'daily'") == [(1,)]


def test_from_a_file_to_an_answer(rig: Rig, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    frame = daily(DAYS[-300:])
    frame.assign(timestamp=[str(day.date()) for day in frame["timestamp"]]).to_csv(file, index=False)
    refused = run("import", "prices", str(file))
    assert refused.exit_code == 1
    assert f"trading-data import daily {file}" in str(refused.exception)
    assert rig.intake.pending("price") == []
    taken = run("import", "daily", str(file))
    assert taken.exit_code == 0, taken.output
    assert "300 rows and 0 rejected ones wait" in taken.output
    assert tick("pending_intake_sensor", instance).skip_message.startswith("1 batch waits in the intake")
    result = run_archive(instance)
    assert result.success
    records = instance.fetch_observations(dg.AssetKey("price_data"), limit=9).records
    observations = [record.asset_observation for record in records if record.asset_observation is not None]
    (loaded,) = [observation for observation in observations if "daily_data" in (observation.description or "")]
    assert loaded.metadata["inserted"].value == 300
    assert materializations(result, "price_data") == {}
    answer = run("query", "prices", "A", "--start", START, "--end", END, "--interval", "1d", "--format", "csv")
    assert answer.stdout.count("\n") == 301
    assert answer.stderr == f"note: {NOTE}\n"
    assert run("query", "daily", "A", "--start", START, "--end", END, "--format", "csv").stdout.count("\n") == 301


def test_a_bad_day_waits_in_quarantine_and_can_be_retried(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    frame = daily(DAYS[-3:]).astype({"close": object})
    frame.loc[1, "close"] = "n/a"
    frame.to_csv(file, index=False)
    assert run("import", "daily", str(file)).exit_code == 0
    rig.load(DAILY)
    assert "daily: 1 not a number" in run("quarantine", "list").output
    ((number,),) = rig.query("select quarantine_id from archive_quarantine")
    done = run("quarantine", "retry", str(number), "--set", "close=50")
    assert done.exit_code == 0, done.output
    rig.load(DAILY)
    assert len(rig.reader.read("daily", None, START, END)) == 3


def test_its_books_are_verified(rig: Rig) -> None:
    assert {one.dataset for one in verify(rig.client, rig.archive, rig.intake)} == {"price", "trade", "metrics"}
    bring(rig, daily(DAYS[-400:]))
    accounts = [
        account for account in verify(rig.client, rig.archive, rig.intake, deep=True) if account.dataset == "daily"
    ]
    assert accounts
    assert all(account.ok for account in accounts)
    rig.query("delete from daily_data where timestamp = %s returning 1", DAYS[-7].to_pydatetime())
    (fault,) = [one for one in verify(rig.client, rig.archive, rig.intake) if not one.ok]
    assert (fault.dataset, fault.day, fault.what) == ("daily", DAYS[-7].date(), "rows")
    assert "daily 2026-11-12: rows" in run("verify").output


def test_twenty_years_are_as_many_chunks_and_no_coverage(rows: Rig) -> None:
    ((chunks,),) = rows.query(
        "select count(*) from timescaledb_information.chunks where hypertable_name = 'daily_data'"
    )
    assert chunks <= 22
    assert rows.query("select count(*) from archive_coverage where dataset = 'daily'") == [(0,)]
    assert rows.query("select count(*) from archive_ledger where dataset = 'daily'") == [(1,)]
    assert archive_drift(rows.archive, [DAILY]) == []


def test_years_that_are_over_are_compressed_and_can_be_corrected(rig: Rig, instance: dg.DagsterInstance) -> None:
    bring(rig, daily(DAYS, "A", "B"))
    before = rig.reader.prices(None, START, END, "1d")
    assert build_defs().resolve_job_def("compression_job").execute_in_process(instance=instance).success
    ((packed,),) = rig.query(
        "select count(*) from timescaledb_information.chunks where hypertable_name = 'daily_data' and is_compressed"
    )
    assert packed >= 15
    pd.testing.assert_frame_equal(rig.reader.prices(None, START, END, "1d"), before)
    bring(rig, daily(DAYS[:1], close=55.0))
    assert rig.reader.prices("A", START, "2006-01-04", "1d")["close"].tolist() == [55.0, 50.0]


def test_a_producer_is_told_that_days_come_from_files(rig: Rig) -> None:
    with pytest.raises(BadInput, match="daily bars come from files: `trading-data import daily FILE`"):
        rig.store.record(DAILY, [])
