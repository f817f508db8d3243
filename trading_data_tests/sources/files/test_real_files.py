"""Files of real vendors, whole, as they lie in packages: minutes of a future, hours of a currency, days of a stock, ticks.

Hours and days are read back in flight, and with TRADING_DATA_TEST_FULL=1 from the archive too: they are thousands of chunks.
"""

import os
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from trading_data.cli.main import group
from trading_data.datasets import PRICE
from trading_data.intake.import_rows import import_rows
from trading_data.sources.files.form import FileForm
from trading_data.sources.files.read import read_table
from trading_data_tests.rig import EARLIEST, Rig


def sample(package: str, path: str) -> Path:
    """A data file of an installed package, which is not imported."""
    return Path(str(distribution(package).locate_file(path)))


HOURS = sample("gym-anytrading", "gym_anytrading/datasets/data/FOREX_EURUSD_1H_ASK.csv")
DAYS = sample("gym-anytrading", "gym_anytrading/datasets/data/STOCKS_GOOGL.csv")
TICKS = sample("mlfinpy", "mlfinpy/dataset/data/tick_data.csv")
FORMS = {
    HOURS: FileForm(
        columns={"timestamp": ("Time",)},
        values={"symbol": "EURUSD", "source": "dukascopy"},
        time_format="%d.%m.%Y %H:%M:%S.%f",
        zone="UTC",
    ),
    DAYS: FileForm(
        columns={"timestamp": ("Date",)},
        values={"symbol": "{stem}", "source": "yahoo"},
        ignored=frozenset({"Adj Close"}),
        zone="UTC",
    ),
}


def as_read_by_pandas(file: Path) -> pd.DataFrame:
    """The rows of a file in this project's columns, sorted by key, read without any of this project's code."""
    form = FORMS[file]
    frame = pd.read_csv(file, dtype=str)
    times = pd.to_datetime(frame.pop(form.columns["timestamp"][0]), format=form.time_format, utc=True)
    frame.columns = [name.lower() for name in frame.columns]
    values = {name: text.replace("{stem}", file.stem) for name, text in form.values.items()}
    frame = frame.assign(timestamp=times.astype("datetime64[us, UTC]"), **values)[list(PRICE.names)]
    return frame.astype(dict.fromkeys(("open", "high", "low", "close", "volume"), float)).sort_values(
        "timestamp", ignore_index=True
    )


@pytest.mark.parametrize(("file", "count"), [(HOURS, 6225), (DAYS, 2335)], ids=["hours", "days"])
def test_a_file_comes_back_equal(file: Path, count: int, rig: Rig) -> None:
    expected = as_read_by_pandas(file)
    assert len(expected) == count
    tables = read_table(PRICE, str(file), FORMS[file])
    done = list(import_rows(rig.intake, PRICE, str(file), tables, origin="file", earliest=EARLIEST))
    assert (sum(batch.rows for batch in done), sum(batch.rejected for batch in done)) == (count, 0)
    found = rig.reader.prices(None, "2000-01-01", "2026-01-01").drop(columns="tier")
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)
    if os.environ.get("TRADING_DATA_TEST_FULL"):
        assert sum(result.inserted for result in rig.load(PRICE)) == count
        found = rig.reader.prices(None, "2000-01-01", "2026-01-01").drop(columns="tier")
        pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def test_days_are_refused_as_minutes_by_name(rig: Rig) -> None:
    pytest.importorskip("trading_data.datasets.widths", reason="what tells days from minutes is not there yet")
    options = ["--column", "timestamp=Date", "--set", "symbol={stem}", "--set", "source=yahoo", "--ignore", "Adj Close"]
    done = CliRunner().invoke(group, ["import", "prices", str(DAYS), *options, "--zone", "UTC"])
    assert done.exit_code == 1
    assert "import daily" in f"{done.output}{done.exception}"
    assert rig.intake.pending("price") == []


def test_ticks_are_refused_with_a_reason_and_their_minutes_come_back_equal(rig: Rig, tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["import", "prices", str(TICKS)])
    assert done.exit_code == 1
    assert f"{TICKS} holds single trades or quotes, with one price a row, and only bars are kept" in str(done.exception)
    assert 'frame.resample("1min").ohlc()' in str(done.exception)
    frame = pd.read_csv(TICKS, parse_dates=["DateTime"], index_col="DateTime")
    minutes = frame["Price"].resample("1min").ohlc().assign(volume=frame["Volume"].resample("1min").sum()).dropna()
    file = tmp_path / "ES.csv"
    minutes.to_csv(file)
    options = ["--column", "timestamp=DateTime", "--set", "symbol={stem}", "--set", "source=mlfinpy"]
    done = CliRunner().invoke(group, ["import", "prices", str(file), *options, "--zone", "America/Chicago"])
    assert done.exit_code == 0, done.output
    rig.load(PRICE)
    found = rig.reader.prices("ES", "2013-09-01", "2013-09-05").set_index("timestamp")
    assert set(found["tier"]) == {"archive"}
    minutes.index = pd.DatetimeIndex(minutes.index).tz_localize("America/Chicago").tz_convert("UTC")
    expected = minutes.astype(float)
    pd.testing.assert_frame_equal(
        found[list(expected.columns)],
        expected,
        check_exact=True,
        check_index_type=False,
        check_freq=False,
        check_names=False,
    )
