"""Files with other bars besides minutes: each command imports its own rows, and names the command for the rest."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading_data.datasets import DAILY, PRICE
from trading_data.sources.files.bars import _RESAMPLE
from trading_data_tests.cli.test_import_texts import run
from trading_data_tests.rig import Rig

DAY = pd.Timestamp("2026-11-19", tz="UTC")


def minutes(symbol: str, days: int = 1, count: int = 60) -> pd.DataFrame:
    at = [
        DAY - pd.Timedelta(days=back) + pd.Timedelta(hours=14, minutes=30 + k)
        for back in range(days)
        for k in range(count)
    ]
    close = 100 + np.random.default_rng(7).normal(0, 1, len(at)).cumsum().round(2)
    prices = {"open": close, "high": close + 0.05, "low": close - 0.05, "close": close}
    return pd.DataFrame({"symbol": symbol, "timestamp": at, **prices, "volume": 100.0, "source": "test"})


def wide(frame: pd.DataFrame, rule: str) -> pd.DataFrame:
    groups = frame.groupby("symbol").resample(rule, on="timestamp")
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "source": "last"}
    return groups.agg(how).dropna().reset_index()


def written(folder: Path, *frames: pd.DataFrame, name: str = "bars.csv") -> str:
    path, frame = folder / name, pd.concat(frames)[list(PRICE.names)]
    frame.to_parquet(path, index=False) if name.endswith("parquet") else frame.to_csv(path, index=False)
    return str(path)


def days(rig: Rig) -> list[float]:
    """The volumes of A's days."""
    volumes: list[float] = rig.reader.prices("A", DAY - pd.Timedelta(days=9), DAY + pd.Timedelta(days=1), "1d")[
        "volume"
    ].tolist()
    return volumes


def advised(output: str) -> list[str]:
    return shlex.split(re.findall(r"`trading-data ([^`]+)`", output)[0])


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_days_and_minutes_of_one_symbol_go_where_they_belong(name: str, rig: Rig, tmp_path: Path) -> None:
    each = minutes("A", days=2)
    file = written(tmp_path, each, wide(each, "D"), minutes("B"), name=name)
    code, output = run(["import", "prices", file])
    assert code == 0, output
    assert f"not imported, daily: 2 rows, the first is row 121: {file} has daily bars of A, and" in output
    rig.load(PRICE)
    assert rig.query("select symbol, count(*) from price_data group by 1 order by 1") == [("A", 120), ("B", 60)]
    assert days(rig) == [6000.0, 6000.0]
    code, output = run(advised(output))
    assert code == 0, output
    assert "not imported, several a day: 180 rows, the first is row 1: " in output
    assert "Import minutes by `trading-data import prices" in output
    rig.load(DAILY)
    rows = rig.query("select symbol, volume from daily_data order by 1, timestamp")
    assert rows == [("A", 6000.0), ("A", 6000.0)]
    assert rig.query("select count(*) from archive_quarantine") == [(0,)]


def test_a_row_keeps_its_number_beside_rows_that_are_not_taken(rig: Rig, tmp_path: Path) -> None:
    each = minutes("A")
    file = written(tmp_path, wide(each, "D"), each)
    Path(file).write_text(Path(file).read_text() + "A,2026-11-19T20:00:00Z,x,1,1,1,1,t\n")
    code, output = run(["import", "prices", file])
    assert code == 0, output
    assert "row 62: open 'x' is not a number" in output
    assert rig.load(PRICE)[0].quarantined == 1
    ((payload,),) = rig.query("select payload from archive_quarantine")
    assert "row 62" in str(payload)


def test_a_file_of_days_and_of_minutes_of_other_symbols(rig: Rig, tmp_path: Path) -> None:
    days = pd.DataFrame({"symbol": "D", "timestamp": pd.bdate_range("2026-09-01", periods=30, tz="UTC"), "open": 1.0})
    days = days.assign(high=2.0, low=1.0, close=2.0, volume=9.0, source="test")
    file = written(tmp_path, minutes("A"), days)
    code, output = run(["import", "prices", file])
    assert code == 0, output
    assert run(advised(output))[0] == 0
    rig.load(PRICE)
    rig.load(DAILY)
    assert rig.query("select count(*) from price_data") == [(60,)]
    assert rig.query("select count(*) from daily_data") == [(30,)]


@pytest.mark.parametrize("rule", ["h", "5min"])
def test_hours_among_minutes_have_no_place(rule: str, rig: Rig, tmp_path: Path) -> None:
    each = minutes("A", days=3)
    code, output = run(["import", "prices", written(tmp_path, each, wide(each, rule))])
    assert code == 0, output
    assert "it has no place for other bars" in output
    rig.load(PRICE)
    assert days(rig) == [6000.0] * 3
    code, output = run(advised(output))
    assert (code, "not taken" in output) == (0, False)


@pytest.mark.parametrize("step", ["7ms", "1s", "17s"])
def test_ticks_and_seconds_are_refused_and_their_minutes_taken(step: str, rig: Rig, tmp_path: Path) -> None:
    ticks = minutes("A", count=300).assign(
        timestamp=pd.date_range(DAY + pd.Timedelta(hours=15), periods=300, freq=step)
    )
    code, output = run(["import", "prices", written(tmp_path, ticks)])
    assert code == 1
    assert "several bars of A within a minute, which are ticks or bars of seconds" in output
    assert rig.intake.pending("price") == []
    made = eval(re.findall(r"`(frame\.[^`]+)`", output)[0], {"frame": ticks})
    assert re.findall(r"`(frame\.[^`]+)`", output)[0] == _RESAMPLE
    code, output = run(["import", "prices", written(tmp_path, made.reset_index())])
    assert code == 0, output
    rig.load(PRICE)
    assert rig.query("select sum(volume) from price_data") == [(30_000.0,)]


@pytest.mark.parametrize("stamp", [59_999, 59_000, 59_999.999])
@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_bars_stamped_in_their_last_second(stamp: float, name: str, rig: Rig, tmp_path: Path) -> None:
    each = minutes("A")
    late = each.assign(timestamp=each["timestamp"] + pd.Timedelta(milliseconds=stamp))
    code, output = run(["import", "prices", written(tmp_path, late, name=name)])
    assert code == 1
    assert "stamped in the last second of a minute, which is the end of a bar" in output
    code, output = run(advised(output))
    assert code == 0, output
    rig.load(PRICE)
    frame = rig.reader.prices("A", DAY, DAY + pd.Timedelta(days=1))
    assert frame["timestamp"].tolist() == each["timestamp"].tolist()


def test_bars_stamped_at_the_end_of_their_minute_are_taken_by_an_option(rig: Rig, tmp_path: Path) -> None:
    """A stamp of 09:31 does not say of which minute it is; a text that is no time is left to the rules."""
    each = minutes("A", count=3)
    file = written(tmp_path, each.assign(timestamp=each["timestamp"] + pd.Timedelta(minutes=1)))
    Path(file).write_text(Path(file).read_text() + "A,yesterday,1,1,1,1,1,t\n")
    code, output = run(["import", "prices", file, "--ends"])
    assert code == 0, output
    assert "row 4: timestamp 'yesterday' is not" in output
    rig.load(PRICE)
    assert [at for (at,) in rig.query("select timestamp from price_data order by 1")] == each["timestamp"].tolist()


def test_a_bar_off_the_minute(rig: Rig, tmp_path: Path) -> None:
    """One is taken, unless its minute has a bar; a symbol whose bars are all so is not."""
    each = minutes("A")
    last = each.tail(1).assign(timestamp=each["timestamp"].max() + pd.Timedelta(seconds=77))
    assert "not taken" not in run(["import", "prices", written(tmp_path, each, last)])[1]
    last["timestamp"] -= pd.Timedelta(seconds=60)
    code, output = run(["import", "prices", written(tmp_path, each, last)])
    assert code == 0
    assert "not imported, off the minute: 1 row, the first is row 61: " in output
    late = each.assign(timestamp=each["timestamp"] + pd.Timedelta(seconds=30))
    code, output = run(["import", "prices", written(tmp_path, late)])
    assert code == 1
    assert "Correct the timestamps; if they are right, `trading-data import prices" in output
    assert run(advised(output))[0] == 0
    assert sum(loaded.inserted for loaded in rig.load(PRICE)) == 121
