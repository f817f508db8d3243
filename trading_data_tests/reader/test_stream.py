"""Answers in windows of time."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from trading_data.datasets import PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.errors import BadInput
from trading_data.times import DAY
from trading_data_tests.reader.model import Model, bring
from trading_data_tests.reader.test_partial import minutes
from trading_data_tests.rig import MOMENT, Rig, bar, fill

START, END = "2000-01-01", "2026-11-23"


def days(frame: pd.DataFrame, time: str = "timestamp") -> set[int]:
    return set(frame[time].dt.day)


def test_a_window_is_a_day_and_days_without_rows_are_left_out(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0), bar("A", 1), bar("B", 0, timestamp=MOMENT - 3 * DAY)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 0, timestamp=MOMENT + DAY)])
    frames = list(rig.reader.stream("prices", None, START, END))
    assert [days(frame) for frame in frames] == [{17}, {20}, {21}]
    assert [frame["tier"].tolist() for frame in frames] == [["archive"], ["archive"] * 2, ["live"]]
    buckets = list(rig.reader.stream(PRICE, None, START, END, "1h"))
    assert [days(frame, "bucket") for frame in buckets] == [{17}, {20}, {21}]
    (everything,) = rig.reader.stream(PRICE, None, START, END, chunk=365 * DAY)
    assert len(everything) == 4


def test_a_window_begins_and_ends_with_the_range(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(4)])
    frames = rig.reader.stream("price", None, MOMENT + timedelta(minutes=1), MOMENT + timedelta(minutes=3))
    assert [minutes(frame) for frame in frames] == [[1, 2]]


@pytest.mark.parametrize("archived", [True, False])
def test_rows_bound_a_window_but_never_part_a_moment(rig: Rig, archived: bool) -> None:
    rig.store.record_prices([bar(symbol, minute) for symbol in ("A", "B", "C") for minute in range(3)])
    rig.store.record_prices([bar("A", 7)])
    if archived:
        rig.archive_all(PRICE)
    for most, expected in (
        (1, [[0] * 3, [1] * 3, [2] * 3, [7]]),
        (7, [[0, 1] * 3, [2, 7, 2, 2]]),
        (10, [[0, 1, 2, 7, 0, 1, 2, 0, 1, 2]]),
    ):
        assert [minutes(frame) for frame in rig.reader.stream("price", None, START, END, rows=most)] == expected


def test_nothing_at_all_is_one_empty_frame(rig: Rig) -> None:
    (frame,) = rig.reader.stream("trades", ["none"], START, END)
    assert frame.empty
    assert frame.columns.tolist() == [*TRADE.names, "tier"]
    assert frame.attrs["missing"] == ()
    (table,) = rig.reader.stream("trades", None, END, END, "1d", format="arrow")
    assert table.num_rows == 0


def test_each_window_is_read_at_its_moment(rig: Rig) -> None:
    """What is accepted while a stream is read is in the windows to come, once, whatever has been done with it by then."""
    first = [bar("A", 0, timestamp=MOMENT + day * DAY) for day in range(-6, 1)]
    rig.store.record_prices(first)
    rig.archive_all(PRICE)
    frames = rig.reader.stream("price", None, START, END)
    seen = [next(frames)]
    steps: list[Callable[[Dataset], object]] = [rig.snapshot, rig.archive_all, rig.load, rig.trim, rig.archive_all]
    for day, step in enumerate(steps, -5):
        rig.store.record_prices([bar("B", 0, timestamp=MOMENT + day * DAY), bar("A", 0, timestamp=first[0].timestamp)])
        step(PRICE)
        seen.append(next(frames))
    rig.archive_all(PRICE)
    seen += frames
    assert [frame["symbol"].tolist() for frame in seen] == [["A"], *[["A", "B"]] * 5, ["A"]]


def test_what_came_and_was_archived_in_a_new_day_between_two_windows(rig: Rig) -> None:
    for day in (-6, 0):
        rig.store.record_prices([bar("A", 0, timestamp=MOMENT + day * DAY)])
    rig.archive_all(PRICE)
    frames = rig.reader.stream("price", None, START, END)
    assert days(next(frames)) == {14}
    rig.store.record_prices([bar("A", 0, timestamp=MOMENT - 3 * DAY)])
    rig.archive_all(PRICE)
    assert [days(frame) for frame in frames] == [{17}, {20}]


def test_files_that_come_between_two_windows(rig: Rig) -> None:
    model = Model(PRICE)
    bring(rig, model, bar("A", 0, timestamp=MOMENT - 6 * DAY))
    bring(rig, model, bar("A", 0))
    frames = rig.reader.stream("price", None, START, END)
    assert days(next(frames)) == {14}
    bring(rig, model, bar("A", 0, timestamp=MOMENT - 3 * DAY))
    assert [days(frame) for frame in frames] == [{17}, {20}]


def test_while_it_is_archived_every_row_comes_once(rig: Rig) -> None:
    bars = [bar("A", 0, timestamp=datetime(2026, 11, 1, 12, tzinfo=UTC) + at * timedelta(hours=3)) for at in range(150)]
    stop = threading.Event()

    def archive() -> None:
        while not stop.is_set():
            rig.snapshot(PRICE, batch_entries=20)
            rig.load(PRICE)
            rig.trim(PRICE)

    rig.store.record_prices(bars)
    thread = threading.Thread(target=archive)
    thread.start()
    try:
        for _ in range(3):
            everything = pd.concat(list(rig.reader.stream("price", None, START, END)), ignore_index=True)
            assert everything["timestamp"].tolist() == [bar.timestamp for bar in bars]
    finally:
        stop.set()
        thread.join()


def test_a_fill_that_a_correction_gave_to_another_symbol(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", symbol="A"), fill("o2", symbol="B")])
    rig.archive_all(TRADE)
    rig.store.record_trades([fill("o1", symbol="B"), fill("o2", minute=-1500, symbol="A")])
    for _ in range(2):
        orders = {symbol: rig.reader.trades(symbol, START, END)["order_id"].tolist() for symbol in ("A", "B")}
        assert orders == {"A": ["o2"], "B": ["o1"]}
        daily = rig.reader.trades(["A", "B"], START, END, "1d")
        assert daily[["symbol", "fills"]].to_numpy().tolist() == [["A", 1], ["B", 1]]
        rig.archive_all(TRADE)


def test_senseless_streams_are_refused_before_anything_is_read(rig: Rig) -> None:
    for options, text in (
        ({"chunk": timedelta(0)}, "chunk must be longer than nothing"),
        ({"rows": 0}, "rows must be at least 1, not 0"),
        ({"format": "polars"}, "there is no format 'polars'; there are pandas, arrow"),
        ({"interval": "2m"}, "has no interval '2m'"),
    ):
        with pytest.raises(BadInput, match=text):
            rig.reader.stream("price", None, START, END, **options)
