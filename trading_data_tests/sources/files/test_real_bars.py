"""Real daily bars through the intake and back, equal to the last digit.

All 12,154 of them (3,270 chunks, some minutes) with TRADING_DATA_TEST_FULL=1, else those of the last 90 days.
"""

import os
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from bokeh_sampledata.stocks import AAPL, FB, GOOG, IBM, MSFT

from trading_data.archive.aggregates.compare import differences
from trading_data.datasets import PRICE
from trading_data.intake.import_rows import import_rows
from trading_data.sources.files.read import read_table
from trading_data.times import day_start
from trading_data_tests.rig import EARLIEST, Rig

SOURCES = {"AAPL": AAPL, "FB": FB, "GOOG": GOOG, "IBM": IBM, "MSFT": MSFT}


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """The package's bars in this project's columns, sorted by key."""
    frames = []
    for symbol, columns in SOURCES.items():
        frame = pd.DataFrame(columns)
        frame["timestamp"] = pd.to_datetime(frame.pop("date")).dt.tz_localize("UTC")
        frames.append(frame.assign(symbol=symbol, source="bokeh-sampledata"))
    whole = pd.concat(frames)[list(PRICE.names)].astype({"volume": "float64", "timestamp": "datetime64[us, UTC]"})
    assert len(whole) == 12_154
    return whole.sort_values(["symbol", "timestamp"], ignore_index=True)


def test_thirteen_years_of_daily_bars_come_back_equal(rig: Rig, bars: pd.DataFrame, tmp_path: Path) -> None:
    if not os.environ.get("TRADING_DATA_TEST_FULL"):
        bars = bars[bars["timestamp"] > bars["timestamp"].max() - pd.Timedelta(days=90)].reset_index(drop=True)
    file = tmp_path / "bars.csv"
    bars.assign(timestamp=bars["timestamp"].map(pd.Timestamp.isoformat)).to_csv(file, index=False)
    first, end = bars["timestamp"].min(), bars["timestamp"].max() + pd.Timedelta(days=1)
    for inserted, unchanged in ((len(bars), 0), (0, len(bars))):
        list(import_rows(rig.intake, PRICE, str(file), read_table(PRICE, str(file)), origin="file", earliest=EARLIEST))
        in_flight = rig.reader.prices(None, first, end).drop(columns="tier")
        pd.testing.assert_frame_equal(in_flight, bars, check_exact=True, check_dtype=False)
        loaded = rig.load(PRICE)
        assert (sum(result.inserted for result in loaded), sum(result.unchanged for result in loaded)) == (
            inserted,
            unchanged,
        )
        assert sum(result.replaced + result.quarantined + result.replayed for result in loaded) == 0
        found = rig.reader.prices(None, first, end)
        assert set(found.pop("tier")) == {"archive"}
        pd.testing.assert_frame_equal(found, bars, check_exact=True, check_dtype=False)
    rig.refresh(PRICE)
    for aggregate in PRICE.aggregates:
        start, stop = day_start(date(2000, 1, 1)), day_start(date(2014, 1, 1))
        assert differences(rig.archive, PRICE, aggregate, start, stop) == []
    daily = rig.reader.prices("AAPL", first, end, "1d")
    expected = bars[bars["symbol"] == "AAPL"]["close"].tolist()
    assert daily["close"].tolist() == expected
