"""Files as a vendor: which files, which rows, and what is said of bad ones."""

from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pytest

from trading_data.datasets import PRICE
from trading_data.datasets.codec import schema
from trading_data.errors import BadInput, VendorRefused
from trading_data.sources.vendors.files import FilesVendor, find_files
from trading_data_tests.rig import MOMENT
from trading_data_tests.sources.vendors.alpaca_history import MINUTE

BAR = {"open": 10.1, "high": 12.0, "low": 9.0, "close": 11.3, "volume": 100.0, "source": "manual"}
END = MOMENT + 10 * MINUTE


def bars(symbol: str, first: int, count: int, **values: Any) -> pd.DataFrame:
    rows = [
        {"symbol": symbol, "timestamp": MOMENT + at * MINUTE, **BAR, **values} for at in range(first, first + count)
    ]
    return pd.DataFrame(rows)


def read(uri: str, *symbols: str, start: datetime = MOMENT, end: datetime = END) -> list[tuple[str, int]]:
    """Symbol and minute of each row, in order."""
    table = pa.concat_tables([schema(PRICE).empty_table(), *FilesVendor(uri).bars(symbols, start, end)])
    assert table.schema == schema(PRICE)
    minutes = [round((moment - MOMENT) / MINUTE) for moment in table["timestamp"].to_pylist()]
    return list(zip(table["symbol"].to_pylist(), minutes, strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    deep = tmp_path / "bars" / "2026"
    deep.mkdir(parents=True)
    bars("A", 0, 4).to_csv(tmp_path / "bars" / "a.csv", index=False)
    bars("B", -2, 20).to_csv(tmp_path / "bars" / "b.csv.gz", index=False)
    pd.concat([bars("A", 4, 3), bars("C", 0, 2)]).to_parquet(deep / "c.PARQUET", index=False)
    (tmp_path / "bars" / "notes.txt").write_text("not bars")
    return tmp_path / "bars"


def test_a_folder_gives_the_rows_asked_for(folder: Path) -> None:
    assert read(str(folder), "A") == [("A", 4), ("A", 5), ("A", 6), ("A", 0), ("A", 1), ("A", 2), ("A", 3)]
    assert read(f"file://{folder}/", "B", "nobody") == [("B", minute) for minute in range(10)]
    assert read(str(folder), "B", start=MOMENT + MINUTE, end=MOMENT + 3 * MINUTE) == [("B", 1), ("B", 2)]
    assert read(str(folder), "D") == []
    assert read(str(folder)) == []


def test_a_glob_and_a_single_file(folder: Path) -> None:
    assert read(f"{folder}/*.csv", "A", "B") == [("A", minute) for minute in range(4)]
    assert read(f"{folder}/b.csv.gz", "A") == []
    assert find_files(f"file://{folder}/**/*.PARQUET") == [f"file://{folder}/2026/c.PARQUET"]


def test_any_place_that_fsspec_knows() -> None:
    with fsspec.open("memory://vendor/bars/a.csv", "wt") as file:
        file.write(bars("A", 0, 2).to_csv(index=False))
    try:
        assert find_files("memory://vendor/bars") == ["memory://vendor/bars/a.csv"]
        assert read("memory://vendor/*/*.csv", "A") == [("A", 0), ("A", 1)]
    finally:
        fsspec.filesystem("memory").rm("/vendor", recursive=True)


def test_values_are_the_files_own(folder: Path) -> None:
    row = next(FilesVendor(str(folder / "a.csv")).bars(["A"], MOMENT, END)).to_pylist()[0]
    assert row == {"symbol": "A", "timestamp": MOMENT, **BAR}


def test_a_bad_row_that_was_asked_for_is_refused_with_its_number(tmp_path: Path) -> None:
    text = bars("A", 0, 4).to_csv(index=False).splitlines()
    text += [f"B,{MOMENT.isoformat()},10,12,9,11,-1,manual", f"A,{END.isoformat()},1,1,9,1,1,manual"]
    file = tmp_path / "bars.csv"
    file.write_text("\n".join(text))
    assert len(read(str(file), "A")) == 4
    with pytest.raises(
        VendorRefused, match=r"bars\.csv has bad rows \(row 5: volume -1\.0 is below 0[^)]*\).*trading-data import"
    ):
        read(str(file), "B")
    with pytest.raises(VendorRefused, match=r"row 6: low 9\.0 is above high 1\.0"):
        read(str(file), "A", end=END + MINUTE)
    # Whose it is, or when it was, nobody knows: it may be one of those asked for.
    file.write_text("\n".join([*text, "A,soon,1,1,1,1,1,manual", f",{MOMENT.isoformat()},1,1,1,1,1,manual"]))
    with pytest.raises(VendorRefused, match=r"row 7: timestamp 'soon' is not an ISO 8601 time.*; row 8: symbol '' is"):
        read(str(file), "A")
    with pytest.raises(VendorRefused, match=r"\(row 8: symbol '' is"):
        read(str(file), "Z")


def test_what_cannot_be_read_is_refused(folder: Path, tmp_path: Path) -> None:
    for uri, text in (
        (str(tmp_path / "away"), "no files ending in .csv"),
        (str(tmp_path / "away.csv"), "there is no file"),
        (f"{folder}/*.txt", "no files ending in .csv"),
        ("nosuch://place/x.csv", "cannot be listed"),
    ):
        with pytest.raises(VendorRefused, match=text):
            read(uri, "A")
    (folder / "z.csv").write_text("symbol,price\nA,1\n")
    with pytest.raises(VendorRefused, match=r"z\.csv does not have the columns of bars: missing"):
        next(FilesVendor(str(folder)).bars(["A"], MOMENT, END))
    with pytest.raises(BadInput, match="no time zone"):
        FilesVendor(str(folder)).bars(["A"], datetime(2026, 1, 1), END)  # noqa: DTZ001
