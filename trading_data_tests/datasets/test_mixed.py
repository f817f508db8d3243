"""Wide bars among the minutes of their own symbol, and sparse minutes that look like them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from trading_data.datasets.mixed import wide_among_minutes

NEW_YORK = "America/New_York"


def minutes(
    days: int = 1, share: float = 1.0, zone: str = NEW_YORK, seed: int = 0, opens: str = "09:30", length: int = 390
) -> pd.DataFrame:
    """Minutes of a random walk, of which a share traded; volumes have a long tail."""
    rng = np.random.default_rng(seed)
    parts = []
    for day in pd.bdate_range("2025-03-12", periods=days, tz=zone):
        at = pd.date_range(f"{day.date()} {opens}", periods=length, freq="min", tz=zone)
        close = 100 + np.cumsum(rng.normal(0, 0.05, length))
        part = pd.DataFrame(
            {"at": at, "high": close + rng.exponential(0.03, length), "low": close - rng.exponential(0.03, length)}
        )
        part["volume"] = np.round(rng.lognormal(6, 1.5, length))
        parts.append(part[rng.random(length) < share])
    return pd.concat(parts)


def bars_of(frame: pd.DataFrame, rule: str, zone: str = NEW_YORK) -> pd.DataFrame:
    """The bars that the minutes of a frame make."""
    local = frame.assign(at=frame["at"].dt.tz_convert(zone)).set_index("at")
    return local.resample(rule).agg({"high": "max", "low": "min", "volume": "sum"}).dropna().reset_index()


def judged(*symbols: Sequence[pd.DataFrame]) -> list[list[int]]:
    """The widths of each frame's bars, given the frames of each symbol."""
    frames = [frame.assign(symbol=at) for at, parts in enumerate(symbols) for frame in parts]
    bars = pd.concat([frame.assign(at=pd.DatetimeIndex(frame["at"]).tz_convert("UTC")) for frame in frames])
    times = bars["at"].dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    columns = [bars[name].to_numpy(float) for name in ("high", "low", "volume")]
    shuffled = np.random.default_rng(1).permutation(len(bars))
    widths = np.empty(len(bars), dtype=np.int64)
    widths[shuffled] = wide_among_minutes(
        bars["symbol"].to_numpy()[shuffled], times[shuffled], *(column[shuffled] for column in columns)
    )
    ends = np.cumsum([0, *map(len, frames)])
    return [sorted(set(widths[start:stop].tolist())) for start, stop in pairwise(ends)]


@pytest.mark.parametrize("hours", [0, 9.5, 16])
@pytest.mark.parametrize(("days", "share"), [(1, 1.0), (1, 0.1), (3, 1.0), (25, 0.01)])
def test_daily_bars_among_minutes(days: int, share: float, hours: float) -> None:
    """Stamped at midnight, at the opening or at the close, in New York."""
    each = minutes(days, share, seed=days)
    day = bars_of(each, "D")
    day["at"] += pd.Timedelta(hours=hours)
    assert judged([each, day]) == [[1], [1440]]


@pytest.mark.parametrize(
    ("length", "days", "volume"), [(10, 1, 1.0), (3, 4, 1.0), (30, 2, 0.1)], ids=["one day", "few minutes", "in lots"]
)
def test_few_bars_at_midnight_utc(length: int, days: int, volume: float) -> None:
    """The time of day is evidence, also where few minutes are covered, and where volumes of days have another unit."""
    each = minutes(days, length=length, seed=length)
    day = bars_of(each, "D", "UTC").assign(volume=lambda frame: frame["volume"] * volume)
    day["at"] = day["at"].dt.floor("D")
    history = pd.DataFrame({"at": day["at"] - pd.Timedelta(weeks=1), "high": 2.0, "low": 1.0, "volume": 1.0})
    assert judged([each, day], [each, day, history]) == [[1], [1440], [1], [1440], [1440]]


def test_opening_auctions_at_midnight_utc_are_minutes() -> None:
    """In Sydney in winter: such a minute has one price, or is followed by others."""
    each = minutes(12, 0.02, "Australia/Sydney", opens="10:00")
    auctions = pd.DataFrame({"at": each["at"].dt.tz_convert("UTC").dt.floor("D").unique(), "high": 1.0, "low": 1.0})
    assert judged([each, auctions.assign(volume=1e6)]) == [[1], [1]]


@pytest.mark.parametrize(("zone", "opens"), [("Asia/Tokyo", "09:00"), ("Europe/London", "08:00"), ("UTC", "00:00")])
def test_daily_bars_of_other_zones(zone: str, opens: str) -> None:
    each = minutes(3, 1.0, zone, opens=opens, length=1440 if zone == "UTC" else 390)
    assert judged([each, bars_of(each, "D", zone)]) == [[1], [1440]]


def test_daily_bars_that_know_more_than_the_minutes() -> None:
    """Trades of auctions are in the day alone; minutes before the opening are outside of it."""
    each, early = minutes(2), minutes(2, seed=9, opens="07:00", length=60)
    day = bars_of(each, "D").assign(volume=lambda found: found["volume"] * 1.3)
    early["high"] += 50
    assert judged([each, early, day]) == [[1], [1], [1440]]


def test_days_in_the_place_of_a_minute() -> None:
    """All timestamps are one minute apart, as in a market without a close."""
    each = minutes(2, zone="UTC", opens="00:00", length=1440)
    days = bars_of(each, "D", "UTC")
    assert judged([each[~each["at"].isin(days["at"])], days]) == [[1], [1440]]


def test_history_in_days_before_minutes() -> None:
    each = minutes(2)
    days = pd.bdate_range("2024-10-01", "2025-03-11", tz=NEW_YORK)
    history = pd.DataFrame({"at": days, "high": 101.0, "low": 99.0, "volume": 1e6})
    assert judged([each, history]) == [[1], [1440]]
    assert judged([each, history, bars_of(each, "D")]) == [[1], [1440], [1440]]


def test_hours_before_minutes_and_among_them() -> None:
    hours = bars_of(minutes(10), "h")
    later = minutes(2).assign(at=lambda found: found["at"] + pd.Timedelta(days=21))
    assert judged([later, hours]) == [[1], [60]]
    for rule, width in (("h", 60), ("30min", 30), ("5min", 5)):
        each = minutes(2)
        wide = bars_of(each, rule)
        found, odd = judged([each, wide])
        assert found == [1]
        assert max(odd) == width


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [1.0, 0.2, 0.02, 0.005])
def test_minutes_are_minutes(seed: int, share: float) -> None:
    assert judged([minutes(60, share, seed=seed)]) == [[1]]


@pytest.mark.parametrize("seed", range(4))
def test_auctions_fixings_halts_and_corrections_are_minutes(seed: int) -> None:
    """The opening has most of an illiquid symbol's volume; one day of news is all in a minute; rows come again, corrected."""
    rng = np.random.default_rng(seed)
    each = minutes(80, 0.01, seed=seed)
    opening = minutes(80, 1.0, seed=seed, length=1)
    opening["volume"] = 1e5
    assert judged([each[each["at"].dt.strftime("%H:%M") != "09:30"], opening]) == [[1], [1]]
    liquid = minutes(20, seed=seed)
    liquid.iloc[int(rng.integers(20 * 390)), 1:] = (300.0, 20.0, 1e9)
    assert judged([liquid]) == [[1]]
    again = minutes(20, seed=seed).sample(50, random_state=seed)
    again["high"] += 0.01
    again["volume"] += 100
    assert judged([minutes(20, seed=seed), again]) == [[1], [1]]
    closing = pd.DataFrame(
        {
            "at": pd.bdate_range("2024-06-03", periods=100, tz=NEW_YORK) + pd.Timedelta(hours=16),
            "high": 10.0,
            "low": 10.0,
        }
    ).assign(volume=500.0)
    assert judged([closing, minutes(2)]) == [[1], [1]]


def test_symbols_are_judged_apart() -> None:
    each = minutes(1)
    assert judged([each], [bars_of(each, "D")], [each, bars_of(each, "D")]) == [[1], [1], [1], [1440]]
    assert judged([each.head(1)]) == [[1]]


def test_a_wide_row_that_is_there_twice() -> None:
    each = minutes(1)
    day = bars_of(each, "D")
    assert judged([each, day, day, each]) == [[1], [1440], [1440], [1]]
