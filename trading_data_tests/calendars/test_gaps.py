"""Gaps in bars, asked of both tiers: closed sessions are told from missing data."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trading_data import Bar
from trading_data.calendars import TradingCalendar
from trading_data.datasets import PRICE
from trading_data.errors import BadInput
from trading_data.reader.gaps import gaps
from trading_data_tests.rig import MOMENT, Rig, bar

NEW_YORK = TradingCalendar.named("XNYS")
CLOSE = datetime(2026, 11, 13, 21, 0, tzinfo=UTC)
MONDAY = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)


def minute(start: datetime, symbol: str = "A") -> Bar:
    return bar(symbol, timestamp=start)


def found(rig: Rig, symbols: Any, start: datetime, end: datetime, **options: Any) -> list[tuple[Any, ...]]:
    frame = gaps(rig.reader, symbols, start, end, NEW_YORK, **options)
    assert frame.columns.tolist() == ["symbol", "start", "end", "state"]
    assert frame.dtypes[["start", "end"]].astype(str).tolist() == ["datetime64[us, UTC]"] * 2
    return list(frame.itertuples(index=False, name=None))


def test_a_week_end_is_closed_and_a_lost_minute_is_missing(rig: Rig) -> None:
    one = timedelta(minutes=1)
    friday = [CLOSE - 5 * one, CLOSE - 4 * one, CLOSE - 2 * one, CLOSE - one]
    rig.store.record_prices([minute(start) for start in friday])
    rig.archive_all(PRICE)
    rig.store.record_prices([minute(MONDAY), minute(MONDAY + 2 * one), minute(MONDAY + 3 * one)])
    rig.store.record_prices([minute(MONDAY, "B")])
    start, end = CLOSE - 6 * one + one / 2, MONDAY + 4 * one
    of_a = [
        ("A", start, CLOSE - 5 * one, "missing"),
        ("A", CLOSE - 3 * one, CLOSE - 2 * one, "missing"),
        ("A", CLOSE, MONDAY, "closed"),
        ("A", MONDAY + one, MONDAY + 2 * one, "missing"),
    ]
    of_b = [
        ("B", start, CLOSE, "missing"),
        ("B", CLOSE, MONDAY, "closed"),
        ("B", MONDAY + one, end, "missing"),
    ]
    assert found(rig, "A", start, end) == of_a
    assert found(rig, None, start, end) == of_a + of_b
    assert found(rig, ["C", "A"], start, CLOSE) == [*of_a[:2], ("C", start, CLOSE, "missing")]
    assert found(rig, "A", CLOSE - 5 * one + one / 2, CLOSE - 3 * one) == []
    assert found(rig, "A", CLOSE - 5 * one, CLOSE, interval=2 * one) == []


def test_more_than_a_week_and_nothing_ahead_of_now(rig: Rig) -> None:
    start, end = MOMENT - timedelta(days=20), MOMENT
    step = timedelta(days=4)
    rig.store.record_prices([minute(start + at * step) for at in range(5)])
    parts = found(rig, "A", start, end)
    covered = sum((stop - begin for _, begin, stop, _ in parts), timedelta(0))
    assert covered == end - start - 5 * timedelta(minutes=1)
    assert found(rig, "A", NEW_YORK.end - timedelta(days=9), NEW_YORK.end) == []


def test_what_makes_no_sense_is_refused(rig: Rig) -> None:
    with pytest.raises(BadInput, match="must be positive"):
        gaps(rig.reader, "A", CLOSE, MONDAY, NEW_YORK, timedelta(0))
    with pytest.raises(BadInput, match="is after end"):
        gaps(rig.reader, "A", MONDAY, CLOSE, NEW_YORK)
    with pytest.raises(BadInput, match="earlier start"):
        gaps(rig.reader, "A", "1999-01-01", "1999-02-01", NEW_YORK)
