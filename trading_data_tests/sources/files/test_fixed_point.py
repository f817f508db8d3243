"""Databento's raw prices, integers of 1e-9: refused by name, and not taken a billion times too large."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from trading_data.datasets import DAILY, PRICE
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.sources.files.form import FileForm
from trading_data.sources.files.read import check_columns, read_table

PRICES = ["open", "high", "low", "close"]
LIBRARY = ["ts_event", "rtype", "publisher_id", "instrument_id", *PRICES, "volume", "symbol"]
FORM = FileForm(
    columns={"timestamp": ("ts_event",)},
    values={"source": "databento"},
    ignored=frozenset({"rtype", "publisher_id", "instrument_id"}),
)


def bars() -> pd.DataFrame:
    frame = pd.DataFrame({"ts_event": pd.date_range("2026-03-02T14:30Z", periods=3, freq="min")})
    frame = frame.assign(rtype=33, publisher_id=2, instrument_id=15144, volume=100, symbol="KDR")
    return frame.assign(**{name: [123.45, 123.5, 123.55] for name in PRICES})[LIBRARY]


def written(folder: Path, name: str, frame: pd.DataFrame) -> str:
    path = folder / name
    frame.to_parquet(path, index=False) if name.endswith("parquet") else frame.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "bars.parquet"])
@pytest.mark.parametrize("dataset", [PRICE, DAILY], ids=["prices", "daily"])
@pytest.mark.parametrize("form", [FORM, FileForm()], ids=["options", "no options"])
def test_raw_prices_are_refused(name: str, dataset: Dataset, form: FileForm, tmp_path: Path) -> None:
    frame = bars()
    raw = frame.assign(**{name: (frame[name] * 1e9).round().astype("int64") for name in PRICES})
    for frame in (raw, raw.drop(columns=["rtype", "publisher_id", "instrument_id"]), raw.assign(low=-25_000_000)):
        file = written(tmp_path, name, frame)
        with pytest.raises(BadInput, match=r"123450000000 for 123\.45\b.*to_csv\(path, pretty_px=True\)") as refusal:
            check_columns(dataset, file, form)
        assert file in str(refusal.value)
        with pytest.raises(BadInput, match="billion"):
            list(read_table(dataset, file, form))


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_decimal_prices_of_databento_are_taken(name: str, tmp_path: Path) -> None:
    (table,) = read_table(PRICE, written(tmp_path, name, bars()), FORM)
    assert [float(price) for price in table["close"].to_pylist()] == [123.45, 123.5, 123.55]


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_integer_prices_of_others_are_taken(name: str, tmp_path: Path) -> None:
    """A bitcoin is more than 1e8 rupiah, and a file of whole numbers may call its time `ts_event`."""
    rupiah = bars().assign(**dict.fromkeys(PRICES, 1_700_000_000)).rename(columns={"ts_event": "timestamp"})
    others = bars().assign(**dict.fromkeys(PRICES, 5_000)).drop(columns="rtype")
    for frame, form in ((rupiah, replace(FORM, columns={})), (others, FORM), (others[:0], FORM)):
        rows = sum(len(table) for table in read_table(PRICE, written(tmp_path, name, frame), form))
        assert rows == len(frame)
