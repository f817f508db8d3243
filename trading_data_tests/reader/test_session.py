"""Only rows of a regular session: 20 November 2026 is a Friday, open 14:30 to 21:00 UTC in New York."""

from datetime import UTC, datetime, timedelta

import pytest

from trading_data.calendars.calendar import TradingCalendar
from trading_data.datasets import PRICE
from trading_data.errors import BadInput
from trading_data.reader.frames import compute
from trading_data_tests.reader.model import Model, same
from trading_data_tests.rig import Rig, bar

START, END = "2026-11-16", "2026-11-23"
EDGES = {(14, 29): False, (14, 30): True, (18, 0): True, (20, 59): True, (21, 0): False, (21, 1): False}


@pytest.fixture
def model(rig: Rig) -> Model:
    """Thursday to Sunday, bars in and out of the session; the last two days wait."""
    made = Model(PRICE)
    for day in (19, 20, 21, 22):
        moments = [datetime(2026, 11, day, *time, tzinfo=UTC) for time in EDGES]
        bars = [bar("A", timestamp=moment, volume=2**at) for at, moment in enumerate(moments)]
        rig.store.record_prices(bars)
        for one in bars:
            made.write(one)
        if day == 20:
            rig.archive_all(PRICE)
    return made


def test_rows_within_the_session(rig: Rig, model: Model) -> None:
    rows = rig.reader.prices(None, START, END, session="XNYS")
    inside = [time for time, open_ in EDGES.items() if open_]
    assert [(time.day, time.hour, time.minute) for time in rows["timestamp"]] == [
        (day, *time) for day in (19, 20) for time in inside
    ]
    assert len(rig.reader.prices(None, START, END)) == 4 * len(EDGES)
    parts = [
        frame["timestamp"].dt.day.unique().tolist()
        for frame in rig.reader.stream("price", None, START, END, session="XNYS")
    ]
    assert parts == [[19], [20]]
    known = rig.reader.prices(None, START, END, session="XNYS", as_of=datetime.now(UTC))
    assert same(known, rows.drop(columns="tier"))


def test_buckets_are_made_of_those_rows_alone(rig: Rig, model: Model) -> None:
    rows = model.answer(None, datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
    inside = rows[TradingCalendar.named("XNYS").inside(rows["timestamp"])]
    for aggregate in PRICE.aggregates:
        expected = compute(PRICE, aggregate, inside)
        assert same(rig.reader.prices(None, START, END, aggregate.interval, session="XNYS"), expected)
        parts = list(rig.reader.stream("price", None, START, END, aggregate.interval, session="XNYS", rows=1))
        assert sum(map(len, parts)) == len(expected)
    assert rig.reader.prices("A", START, END, "1d", session="XNYS")["volume"].tolist() == [2.0 + 4 + 8] * 2
    assert rig.reader.prices("A", START, END, "1d")["volume"].tolist() == [63.0] * 4


def test_an_early_close_and_an_unknown_exchange(rig: Rig) -> None:
    early = datetime(2025, 11, 28, 17, 59, tzinfo=UTC)
    rig.store.record_prices([bar("A", timestamp=early), bar("A", timestamp=early + timedelta(minutes=1))])
    assert rig.reader.prices("A", "2025-11-28", "2025-11-29", session="XNYS")["timestamp"].tolist() == [early]
    with pytest.raises(BadInput, match="there is no exchange 'NOWHERE'"):
        rig.reader.prices("A", START, END, session="NOWHERE")
