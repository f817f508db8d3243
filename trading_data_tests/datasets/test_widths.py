"""How wide bars are, by their stamps: hand-made files of every width, and sparse minutes that look like them."""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.calendars import TradingCalendar
from trading_data.datasets.widths import DAY, WEEK, BarWidths, width_text

NEW_YORK = "America/New_York"


def widths(
    stamps: "Mapping[str, pd.Index[pd.Timestamp]]", *, moved: bool = True, rows: int = 1000
) -> dict[str, timedelta]:
    found = BarWidths()
    whole = pd.concat([pd.Series(at, name="at").to_frame().assign(symbol=symbol) for symbol, at in stamps.items()])
    for start in range(0, len(whole), rows):
        block = whole.iloc[start : start + rows]
        times = (
            pd.DatetimeIndex(pd.to_datetime(block["at"], utc=True))
            .tz_localize(None)
            .to_numpy()
            .astype("datetime64[us]")
        )
        found.add(pa.array(block["symbol"].tolist(), pa.string()), times.astype(np.int64), np.full(len(block), moved))
    return found.found()


def days(count: int, zone: str = "UTC", hour: int = 0) -> "pd.Index[pd.Timestamp]":
    return pd.bdate_range("2025-03-03", periods=count, tz=zone) + pd.Timedelta(hours=hour)


def session_bars(minutes: int, count: int = 3) -> "pd.Index[pd.Timestamp]":
    """Bars of that width from New York's opening on."""
    parts = [
        pd.date_range(
            day + pd.Timedelta(hours=9, minutes=30), day + pd.Timedelta(hours=15, minutes=59), freq=f"{minutes}min"
        )
        for day in pd.bdate_range("2025-03-12", periods=count, tz=NEW_YORK)
    ]
    return parts[0].append(parts[1:])


@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, "Asia/Tokyo", "Asia/Kolkata", "Europe/London", "Australia/Sydney"])
@pytest.mark.parametrize("rows", [1000, 7])
def test_daily_bars_of_any_zone(zone: str, rows: int) -> None:
    """London's midnight is 23:00 UTC of the day before in summer."""
    assert widths({"A": days(60, zone)}, rows=rows) == {"A": DAY}


def test_daily_bars_stamped_at_the_close() -> None:
    assert widths({"A": days(60, NEW_YORK, 16)}) == {"A": DAY}


def test_days_that_hardly_move_are_days_at_midnight_utc() -> None:
    assert widths({"FUND": days(10)}, moved=False) == {"FUND": DAY}
    assert widths({"FUND": days(10, NEW_YORK, 16)}, moved=False) == {}


@pytest.mark.parametrize("minutes", [5, 10, 15, 30, 60, 120])
def test_wide_bars_within_a_day(minutes: int) -> None:
    assert widths({"A": session_bars(minutes, 20)}) == {"A": timedelta(minutes=minutes)}


@pytest.mark.parametrize("step", ["W-FRI", "MS", "QS"])
def test_longer_bars(step: str) -> None:
    assert widths({"A": pd.date_range("2015-01-01", periods=20, freq=step, tz="UTC")}) == {"A": WEEK}


def test_minutes_are_minutes() -> None:
    minutes = TradingCalendar.named("XNYS").expected_minutes(pd.Timestamp("2025-03-12").date())
    assert widths({"A": minutes, "B": minutes[::7], "C": minutes[:3]}) == {}
    assert widths({"A": minutes.append(session_bars(60, 20))}) == {}


def test_auctions_and_fixings_of_an_illiquid_symbol_are_minutes() -> None:
    """Twice a day, or only at the close, always at one price."""
    half_past = pd.DatetimeIndex([at + pd.Timedelta(minutes=30) for at in days(100, "Europe/Paris", 16)])
    fixings = days(100, "Europe/Paris", 11).append(half_past).sort_values()
    assert widths({"A": fixings, "B": days(100, NEW_YORK, 16)}, moved=False) == {}


def test_the_daily_bars_of_many_prove_it_together() -> None:
    short = {f"S{at}": days(2, NEW_YORK) for at in range(10)}
    assert widths(short) == dict.fromkeys(short, DAY)
    assert widths({"S0": short["S0"]}) == {}
    assert widths({f"S{at}": days(1) for at in range(10)}) == {}
    minutes = TradingCalendar.named("XNYS").expected_minutes(pd.Timestamp("2025-03-12").date())
    assert widths({**short, "M": minutes}) == {}


def test_one_wide_symbol_among_minutes_is_named() -> None:
    minutes = TradingCalendar.named("XNYS").expected_minutes(pd.Timestamp("2025-03-12").date())
    assert widths({"M": minutes, "D": days(30), "H": session_bars(60, 5)}, rows=50) == {
        "D": DAY,
        "H": timedelta(hours=1),
    }


def test_the_same_rows_twice_prove_nothing_more() -> None:
    assert widths({"A": days(2, NEW_YORK).repeat(30)}) == {}


@given(st.sets(st.integers(0, 389), min_size=2, max_size=60), st.integers(0, 2**32 - 1))
def test_sparse_minutes_are_never_taken_for_anything_else(minutes: set[int], seed: int) -> None:
    """Unless they lie on one grid by themselves, which so few do only by the choice of the test."""
    opened = pd.Timestamp("2025-03-12T14:30:00Z")
    rng = np.random.default_rng(seed)
    sparse = [opened + pd.Timedelta(minutes=int(at)) for at in rng.choice(390, len(minutes), replace=False)]
    assert widths({"A": pd.DatetimeIndex(sorted(sparse)).as_unit("us")}) == {}


def test_words() -> None:
    assert [
        width_text(width) for width in (timedelta(minutes=5), timedelta(hours=1), timedelta(minutes=90), DAY, WEEK)
    ] == [
        "5-minute",
        "1-hour",
        "90-minute",
        "daily",
        "weekly or longer",
    ]
