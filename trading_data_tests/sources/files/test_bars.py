"""Files of bars at the door: minutes into `prices`, days into `daily`, others refused with what to do."""

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from trading_data.datasets import DAILY
from trading_data.errors import BadInput, VendorRefused
from trading_data.sources.feeds.replay import replay
from trading_data.sources.files.bars import as_days, check_minutes, rows_not_days
from trading_data.sources.files.form import FileForm
from trading_data.sources.files.read import Rows
from trading_data.sources.vendors.files import FilesVendor
from trading_data_tests.rig import EARLIEST

NEW_YORK = "America/New_York"


def file_of(folder: Path, stamps: "list[str] | pd.DatetimeIndex", *symbols: str, name: str = "bars.csv") -> str:
    frame = pd.DataFrame({"timestamp": stamps}).merge(pd.DataFrame({"symbol": symbols or ("A",)}), how="cross")
    frame = frame.assign(open=10.0, high=12.0, low=9.0, close=11.0, volume=1.0, source="test")
    path = folder / name
    frame.to_parquet(path, index=False) if name.endswith("parquet") else frame.to_csv(path, index=False)
    return str(path)


def days_of(file: str, zone: str | None = None) -> object:
    return rows_not_days(Rows(DAILY, file, FileForm(zone=zone)))


def days(count: int, zone: str = "UTC") -> pd.DatetimeIndex:
    return pd.bdate_range("2026-03-02", periods=count, tz=zone)


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK])
def test_daily_bars_are_named_with_their_command(tmp_path: Path, name: str, zone: str) -> None:
    file = file_of(tmp_path, days(30, zone), "A", "B", name=name)
    with pytest.raises(BadInput) as told:
        check_minutes(file)
    assert "has daily bars of A and 1 other symbol" in str(told.value)
    assert f"`trading-data import daily {file}`" in str(told.value)
    with pytest.raises(VendorRefused, match="daily bars"):
        list(FilesVendor(file).bars(["A"], EARLIEST, EARLIEST))
    with pytest.raises(BadInput, match="daily bars"):
        replay([file], earliest=EARLIEST)


def test_bare_days_are_daily_bars(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="daily bars of A,"):
        check_minutes(file_of(tmp_path, [str(day.date()) for day in days(9)]))


def test_hourly_bars_have_no_place(tmp_path: Path) -> None:
    file = file_of(tmp_path, pd.date_range("2026-03-02T14:30Z", periods=20, freq="h"))
    with pytest.raises(BadInput, match=r"1-hour bars of A.*it has no place for other bars.*import prices .* --minutes"):
        check_minutes(file)
    with pytest.raises(BadInput, match="stamped 2026-03-02 14:30:00"):
        days_of(file)
    with pytest.raises(BadInput, match=r"several bars a day of A.*import prices"):
        days_of(file, zone=NEW_YORK)


def test_minutes_and_broken_rows_pass(tmp_path: Path) -> None:
    check_minutes(file_of(tmp_path, pd.date_range("2026-03-02T14:30Z", periods=20, freq="min")))
    broken = file_of(tmp_path, ["2026-03-02T14:30:00Z", "yesterday", "", "2026-03-02T14:31"])
    Path(broken).write_text(Path(broken).read_text() + "2026-03-02T14:32:00Z,A,x,y,z,,,\n,,,,,,,\n")
    check_minutes(broken)


@pytest.mark.parametrize(
    "texts",
    [
        ["2026-03-09", "2026-03-10"],
        ["2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z"],
        ["2026-03-09 00:00:00-04:00", "2026-03-10 00:00:00-04:00"],
        ["2026-03-09T00:00:00+09:00", "2026-03-10"],
        ["2026-03-09 00:00:00", "2026-03-10T00:00:00.000000+00:00"],
    ],
)
def test_days_as_files_write_them(texts: list[str]) -> None:
    wanted = [date(2026, 3, 9), date(2026, 3, 10)]
    for zone in (None, NEW_YORK):
        found = as_days(pa.array(texts), zone)
        assert found.type == pa.timestamp("us", "UTC")
        assert found.to_pylist() == [pd.Timestamp(day, tz="UTC") for day in wanted]


def test_moments_are_days_of_a_zone(tmp_path: Path) -> None:
    close = days(30, NEW_YORK) + pd.Timedelta(hours=16)
    tokyo = days(30, "Asia/Tokyo")
    for zone, stamps in ((NEW_YORK, close), (NEW_YORK, days(30, NEW_YORK)), ("Asia/Tokyo", tokyo)):
        file = file_of(tmp_path, stamps.tz_convert("UTC"), name="bars.parquet")
        days_of(file, zone=zone)
        found = as_days(pa.array(stamps.tz_convert("UTC").as_unit("us")), zone)
        assert [moment.date() for moment in found.to_pylist()] == [day.date() for day in stamps]
        with pytest.raises(BadInput, match=r"row 1 is stamped .* name the exchange's zone: .*--zone"):
            days_of(file)
    with pytest.raises(BadInput, match="there is no time zone 'Mars'"):
        as_days(pa.array(["2026-03-09"]), "Mars")


def test_weeks_are_no_days(tmp_path: Path) -> None:
    weeks = pd.date_range("2026-01-02", periods=20, freq="W-FRI", tz="UTC")
    for checked in (days_of, check_minutes):
        with pytest.raises(BadInput, match=r"weekly or longer bars of A.*no place"):
            checked(file_of(tmp_path, weeks))


def test_what_is_no_time_is_left_to_the_rules_of_values(tmp_path: Path) -> None:
    file = file_of(tmp_path, ["2026-03-09", "yesterday", ""])
    days_of(file)
    assert as_days(pa.array(["2026-03-09", "yesterday", ""])).to_pylist() == ["2026-03-09T00:00:00Z", "yesterday", ""]
    with pytest.raises(BadInput, match="row 2 is stamped 2026-03-09T16:00"):
        days_of(file_of(tmp_path, ["yesterday", "2026-03-09T16:00:00-05:00"]))
