"""Backtest input: aligned, and without look-ahead."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data import Bar
from trading_data.analytics import backtest_input
from trading_data.calendars import TradingCalendar
from trading_data.datasets import PRICE
from trading_data.errors import BadInput
from trading_data.times import now
from trading_data_tests.rig import MOMENT, Rig, bar

NEW_YORK = TradingCalendar.named("XNYS")
MINUTE = timedelta(minutes=1)
HOUR = MOMENT + timedelta(hours=1)
FRIDAY_CLOSE = datetime(2026, 11, 13, 21, 0, tzinfo=UTC)
MONDAY_OPEN = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
FIELDS = ["open", "high", "low", "close", "volume"]


def column(frame: pd.DataFrame, field: str, symbol: str) -> list[float | None]:
    """Values, None for NaN."""
    return [None if np.isnan(value) else value for value in frame[field, symbol]]


def rows_up_to(frame: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    return frame[frame.index <= moment]


def test_a_bar_is_in_the_row_of_its_end(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0, close=10.0), bar("A", 2, close=11.0), bar("B", 1, close=9.5)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("B", 2, close=12.0)])
    bars = backtest_input(rig.reader, ["B", "A", "C"], MOMENT, HOUR)
    assert bars.index.tolist() == [MOMENT + minute * MINUTE for minute in (1, 2, 3)]
    assert (bars.index.name, str(bars.index.dtype)) == ("known", "datetime64[us, UTC]")
    assert list(map(tuple, bars.columns)) == [(field, symbol) for field in FIELDS for symbol in "ABC"]
    assert bars.columns.names == ["field", "symbol"]
    assert set(bars.dtypes) == {np.dtype("float64")}
    assert column(bars, "close", "A") == [10.0, None, 11.0]
    assert column(bars, "close", "B") == [None, 9.5, 12.0]
    assert column(bars, "volume", "C") == [None, None, None]
    assert column(bars, "high", "A") == [12.0, None, 12.0]


def test_a_close_is_carried_forward_and_never_back(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 1, close=10.0), bar("A", 4, close=11.0)])
    rig.store.record_prices([bar("B", minute) for minute in range(6)])
    bars = backtest_input(rig.reader, ["A", "B", "C"], MOMENT, HOUR, fill="close")
    assert column(bars, "close", "A") == [None, 10.0, 10.0, 10.0, 11.0, 11.0]
    assert column(bars, "volume", "A") == [None, 100.0, 0.0, 0.0, 100.0, 0.0]
    for field in ("open", "high", "low"):
        assert [value is None for value in column(bars, field, "A")] == [True, False, True, True, False, True]
    assert column(bars, "volume", "C") == column(bars, "close", "C") == [None] * 6


@pytest.mark.parametrize(("interval", "width"), [("5m", 5), ("1h", 60), ("1d", 1440)])
def test_wider_bars_are_known_when_they_are_complete(rig: Rig, interval: str, width: int) -> None:
    rig.store.record_prices([bar("A", minute, close=10.0 + minute / 100) for minute in range(61)])
    rig.archive_all(PRICE)
    start = MOMENT.replace(hour=0)
    complete = MOMENT.replace(hour=0) + timedelta(days=1) if width == 1440 else MOMENT + width * MINUTE
    bars = backtest_input(rig.reader, "A", start, complete, interval)
    assert bars.index.tolist() == [complete]
    assert backtest_input(rig.reader, "A", start, complete - MINUTE / 60, interval).empty


def test_what_is_not_complete_at_the_end_or_now_is_not_there(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0), bar("A", 1)])
    assert len(backtest_input(rig.reader, "A", MOMENT, MOMENT + 2 * MINUTE)) == 2
    assert len(backtest_input(rig.reader, "A", MOMENT, MOMENT + 2 * MINUTE - MINUTE / 60)) == 1
    later = now() + timedelta(hours=3)
    rig.store.record_prices([bar("B", timestamp=later)])
    assert backtest_input(rig.reader, "B", later - MINUTE, later + 5 * MINUTE).empty


def test_with_a_calendar_the_rows_are_the_sessions(rig: Rig) -> None:
    times = [FRIDAY_CLOSE - 2 * MINUTE, FRIDAY_CLOSE, MONDAY_OPEN - MINUTE, MONDAY_OPEN + MINUTE]
    rig.store.record_prices([bar("A", timestamp=time, close=10.0 + at / 2) for at, time in enumerate(times)])
    options: dict[str, Any] = {"calendar": NEW_YORK, "fill": "close"}
    bars = backtest_input(rig.reader, "A", FRIDAY_CLOSE - 3 * MINUTE, MONDAY_OPEN + 3 * MINUTE, **options)
    assert bars.index.tolist() == [
        *(FRIDAY_CLOSE + minute * MINUTE for minute in (-2, -1, 0)),
        *(MONDAY_OPEN + minute * MINUTE for minute in (1, 2, 3)),
    ]
    assert column(bars, "close", "A") == [None, 10.0, 10.0, 10.0, 11.5, 11.5]
    assert str(bars.index.dtype) == "datetime64[us, UTC]"
    hours = backtest_input(rig.reader, "A", FRIDAY_CLOSE.replace(hour=0), FRIDAY_CLOSE, "1h", calendar=NEW_YORK)
    assert [moment.hour for moment in hours.index] == [15, 16, 17, 18, 19, 20, 21]
    days = backtest_input(rig.reader, "A", "2026-11-13", "2026-11-18", "1d", calendar=NEW_YORK)
    assert [moment.day for moment in days.index] == [14, 17, 18]
    none = backtest_input(rig.reader, "A", "2026-11-14", "2026-11-15", **options)
    assert (none.shape, str(none.index.dtype)) == ((0, 5), "datetime64[us, UTC]")


def test_nothing_at_all(rig: Rig) -> None:
    for symbols, width in ((None, 0), ("A", 5), (["A", "B"], 10), ([], 0)):
        bars = backtest_input(rig.reader, symbols, MOMENT, HOUR, fill="close")
        assert (bars.shape, str(bars.index.dtype)) == ((0, width), "datetime64[us, UTC]")


def test_a_bar_beside_the_grid_is_not_passed_over(rig: Rig) -> None:
    rig.store.record_prices([bar("A", timestamp=MOMENT + MINUTE / 2)])
    assert len(backtest_input(rig.reader, "A", MOMENT, HOUR)) == 1
    with pytest.raises(BadInput, match=r"2026-11-20T15:00:30.* not on its grid of 0:01:00"):
        backtest_input(rig.reader, "A", MOMENT, HOUR, calendar=NEW_YORK)


def test_what_makes_no_sense_is_refused(rig: Rig) -> None:
    with pytest.raises(BadInput, match="fill must be none or close, not 'back'"):
        backtest_input(rig.reader, "A", MOMENT, HOUR, fill="back")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no interval '7m'"):
        backtest_input(rig.reader, "A", MOMENT, HOUR, "7m")
    with pytest.raises(BadInput, match="1:00:00 does not divide 0:05:00"):
        backtest_input(rig.reader, "A", MOMENT, HOUR, "5m", bar_width=timedelta(hours=1))
    with pytest.raises(BadInput, match="bar_width must be positive"):
        backtest_input(rig.reader, "A", MOMENT, HOUR, bar_width=timedelta(0))
    with pytest.raises(BadInput, match="is after end"):
        backtest_input(rig.reader, "A", HOUR, MOMENT)


def test_a_correction_that_was_archived_later_does_not_show(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute, close=10.0) for minute in range(6)])
    rig.archive_all(PRICE)
    moment = now()
    rig.store.record_prices([bar("A", 1, close=11.5, high=99.0), bar("A", 6)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 7)])
    assert column(backtest_input(rig.reader, "A", MOMENT, HOUR), "close", "A") == [10.0, 11.5, *[10.0] * 4, 11.0, 11.0]
    known = backtest_input(rig.reader, "A", MOMENT, HOUR, as_of=moment)
    assert column(known, "close", "A") == [10.0] * 6
    assert column(backtest_input(rig.reader, "A", MOMENT, HOUR, "5m", as_of=moment), "high", "A") == [12.0, 12.0]
    assert backtest_input(rig.reader, "A", MOMENT, HOUR, as_of=MOMENT).empty


def test_rows_end_with_what_can_be_known_at_as_of(rig: Rig) -> None:
    """A bar that ends after `as_of` was incomplete then; the grid has no row after it either."""
    bars = backtest_input(
        rig.reader, "A", MOMENT, HOUR, calendar=NEW_YORK, as_of=MOMENT + timedelta(minutes=3, seconds=30)
    )
    assert bars.index.tolist() == [MOMENT + minute * MINUTE for minute in (1, 2, 3)]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_row_depends_on_a_bar_that_ends_after_it(rig: Rig, data: st.DataObject) -> None:
    rig.clean()
    keys = st.tuples(st.sampled_from(["A", "B"]), st.integers(0, 11))
    first = data.draw(st.sets(keys, min_size=1), label="bars")
    rig.store.record_prices([bar(symbol, minute, close=10.0) for symbol, minute in sorted(first)])
    if data.draw(st.booleans(), label="archived"):
        rig.archive_all(PRICE)
    options: dict[str, Any] = {
        "interval": data.draw(st.sampled_from(["raw", "5m"])),
        "fill": data.draw(st.sampled_from(["none", "close"])),
        "calendar": data.draw(st.sampled_from([None, NEW_YORK])),
    }
    before = backtest_input(rig.reader, ["A", "B"], MOMENT, HOUR, **options)
    symbol, minute = data.draw(keys, label="changed or added")
    changed: Bar = bar(symbol, minute, open=9.25, high=98.0, low=9.0, close=97.0, volume=7.0)
    rig.store.record_prices([changed])
    after = backtest_input(rig.reader, ["A", "B"], MOMENT, HOUR, **options)
    for moment in after.index:
        if changed.timestamp + MINUTE > moment:
            pd.testing.assert_frame_equal(rows_up_to(before, moment), rows_up_to(after, moment))
    width = MINUTE if options["interval"] == "raw" else 5 * MINUTE
    own = after.loc[after.index >= changed.timestamp + MINUTE, ("high", symbol)].iloc[0]
    assert own == 98.0
    assert after.index[-1] <= HOUR
    assert all((moment - MOMENT) % width == timedelta(0) for moment in after.index)
