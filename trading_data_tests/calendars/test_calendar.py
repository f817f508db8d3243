"""Sessions, filters, expected minutes and gaps, against days whose hours are known from the exchanges' own notices."""

import importlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.calendars import TradingCalendar
from trading_data.calendars.open_intervals import DAY_US, MINUTE_US, Stretches
from trading_data.errors import BadInput

NEW_YORK = TradingCalendar.named("XNYS")
TOKYO = TradingCalendar.named("XTKS")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def minutes(first: str, last: str) -> list[datetime]:
    return pd.date_range(at(first), at(last), freq="min", inclusive="left").to_pydatetime().tolist()


def test_sessions_of_thanksgiving_week() -> None:
    found = NEW_YORK.sessions("2024-11-27T21:00:00Z", "2024-12-02T14:30:00.000001Z")
    assert found.columns.tolist() == ["session", "open", "close"]
    assert found["session"].tolist() == [date(2024, 11, 29), date(2024, 12, 2)]
    assert found["open"].tolist() == [at("2024-11-29T14:30"), at("2024-12-02T14:30")]
    assert found["close"].tolist() == [at("2024-11-29T18:00"), at("2024-12-02T21:00")]
    assert found.dtypes.astype(str).tolist() == ["object", "datetime64[us, UTC]", "datetime64[us, UTC]"]
    none = NEW_YORK.sessions("2024-11-28", "2024-11-29")
    assert (len(none), none.dtypes.tolist()) == (0, found.dtypes.tolist())


def test_summer_time_moves_the_session() -> None:
    assert NEW_YORK.sessions("2024-03-08", "2024-03-12")["open"].dt.strftime("%d %H:%M").tolist() == [
        "08 14:30",
        "11 13:30",
    ]


EDGES = ["2024-11-29T14:29:59.999999", "2024-11-29T14:30", "2024-11-29T17:59:59.999999", "2024-11-29T18:00"]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([at(edge) for edge in EDGES], pa.timestamp("us", "UTC")),
        pa.chunked_array([[at(edge)] for edge in EDGES], pa.timestamp("ns", "America/New_York")),
        np.array(EDGES, dtype="datetime64[us]"),
        np.array(EDGES, dtype="datetime64[ns]"),
        pd.Series([at(edge) for edge in EDGES], index=[7, 7, 1, 0]),
        pd.DatetimeIndex(EDGES, tz="UTC").tz_convert("Asia/Tokyo"),
    ],
)
def test_inside_is_from_the_open_to_before_the_close(times: object) -> None:
    found = NEW_YORK.inside(times)
    assert found.dtype == np.bool_
    assert found.tolist() == [False, True, True, False]


def test_a_finer_time_is_rounded_down() -> None:
    just_before = pa.array([int(at("2024-11-29T18:00").timestamp()) * 10**9 - 1], pa.timestamp("ns", "UTC"))
    assert NEW_YORK.inside(just_before).tolist() == [True]


def test_seconds_and_none_at_all() -> None:
    assert NEW_YORK.inside(pa.array([1732890600], pa.timestamp("s", "UTC"))).tolist() == [True]
    assert NEW_YORK.inside(np.array([], dtype="datetime64[us]")).tolist() == []


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (pa.array([0], pa.timestamp("us")), "with a zone"),
        (pd.Series([pd.Timestamp("2024-11-29")]), "with a zone"),
        (np.array([1.5]), "must be an array of timestamps, not float64"),
        ([at("2024-11-29")], "must be an array of timestamps, not list"),
        (pa.array([None], pa.timestamp("us", "UTC")), "a time is missing"),
        (pd.Series(pd.DatetimeIndex(["NaT"], tz="UTC")), "a time is missing"),
        (np.array(["1999-12-31T23:59:59"], dtype="datetime64[us]"), "earlier start"),
        (np.array(["2099-01-01"], dtype="datetime64[us]"), "at most about a year ahead"),
    ],
)
def test_times_that_cannot_be_judged_are_refused(times: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        NEW_YORK.inside(times)


def test_breaks_are_closed() -> None:
    times = np.array(["2024-10-01T02:29", "2024-10-01T02:30", "2024-10-01T03:29", "2024-10-01T03:30"], "datetime64[us]")
    assert TOKYO.inside(times).tolist() == [True, False, False, True]
    assert len(TOKYO.expected_minutes(date(2024, 10, 1))) == 300
    assert [state for _, _, state in TOKYO.explain_gap("2024-10-01", "2024-10-02")] == [
        "missing",
        "closed",
        "missing",
        "closed",
    ]


def test_expected_minutes_of_a_day() -> None:
    whole = NEW_YORK.expected_minutes(date(2024, 11, 27))
    assert whole.tolist() == minutes("2024-11-27T14:30", "2024-11-27T21:00")
    assert (len(whole), str(whole.dtype)) == (390, "datetime64[us, UTC]")
    assert len(NEW_YORK.expected_minutes(date(2024, 11, 29))) == 210
    for closed in (date(2024, 11, 28), date(2024, 11, 30)):
        assert NEW_YORK.expected_minutes(closed).tolist() == []


def test_expected_by_day() -> None:
    found = NEW_YORK.expected_by_day(date(2024, 11, 27), date(2024, 12, 1))
    assert found.columns.tolist() == ["day", "expected_minutes", "open", "close"]
    assert found["day"].tolist() == [date(2024, 11, day) for day in (27, 28, 29, 30)]
    assert found["expected_minutes"].tolist() == [390, 0, 210, 0]
    assert found["open"].isna().tolist() == found["close"].isna().tolist() == [False, True, False, True]
    assert found["close"][2] == at("2024-11-29T18:00")
    assert found["open"].dtype == "datetime64[us, UTC]"
    assert len(NEW_YORK.expected_by_day(date(2024, 11, 27), date(2024, 11, 27))) == 0


def test_a_day_has_parts_of_two_sessions() -> None:
    """CMES trades from 18:00 to 17:00 New York time, Sunday to Friday; in winter that is 23:00 to 22:00 UTC."""
    cme = TradingCalendar.named("CMES")
    found = cme.expected_by_day(date(2024, 12, 6), date(2024, 12, 10)).set_index("day")["expected_minutes"]
    sessions = cme.sessions("2024-12-06", "2024-12-10")
    assert sessions["session"].tolist() == [date(2024, 12, day) for day in (6, 9, 10)]
    friday = sessions["close"][0] - at("2024-12-06T00:00")
    monday = at("2024-12-10T00:00") - sessions["open"][1]
    assert found[date(2024, 12, 6)] == friday / timedelta(minutes=1)
    assert found[date(2024, 12, 7)] == 0
    assert found[date(2024, 12, 8)] + found[date(2024, 12, 9)] == monday / timedelta(minutes=1) - (
        sessions["open"][2] - sessions["close"][1]
    ) / timedelta(minutes=1)
    assert found[date(2024, 12, 8)] == (at("2024-12-09T00:00") - sessions["open"][1]) / timedelta(minutes=1)


def test_a_gap_is_cut_where_the_market_opens_and_closes() -> None:
    assert NEW_YORK.explain_gap("2024-11-27T20:58:00Z", "2024-11-29T14:35:00Z") == [
        (at("2024-11-27T20:58"), at("2024-11-27T21:00"), "missing"),
        (at("2024-11-27T21:00"), at("2024-11-29T14:30"), "closed"),
        (at("2024-11-29T14:30"), at("2024-11-29T14:35"), "missing"),
    ]
    assert NEW_YORK.explain_gap("2024-11-30", "2024-12-01") == [(at("2024-11-30"), at("2024-12-01"), "closed")]
    assert NEW_YORK.explain_gap("2024-11-30", "2024-11-30") == []
    with pytest.raises(BadInput, match="is after end"):
        NEW_YORK.explain_gap("2024-12-01", "2024-11-30")
    with pytest.raises(BadInput, match="no time zone"):
        NEW_YORK.explain_gap("2024-12-01T00:00:00", "2024-12-02")


def test_a_market_that_never_closes() -> None:
    always = TradingCalendar.named("24/7")
    assert always.explain_gap("2024-11-29", "2024-12-03") == [(at("2024-11-29"), at("2024-12-03"), "missing")]
    assert always.expected_by_day(date(2024, 11, 30), date(2024, 12, 2))["expected_minutes"].tolist() == [1440, 1440]
    assert always.inside(np.array(["2024-11-30T23:59", "2024-12-01"], "datetime64[us]")).all()
    assert len(always.expected_minutes(date(2024, 12, 1))) == 1440


def test_what_the_calendar_knows_has_an_end_and_a_beginning() -> None:
    last = NEW_YORK.end.date() - timedelta(days=1)
    assert len(NEW_YORK.expected_by_day(last, NEW_YORK.end.date())) == 1
    with pytest.raises(BadInput, match=rf"XNYS knows 2000-01-01T00:00:00Z up to {NEW_YORK.end:%Y-%m-%d}"):
        NEW_YORK.expected_by_day(last, NEW_YORK.end.date() + timedelta(days=1))
    assert NEW_YORK.expected_by_day(date(2000, 1, 1), date(2000, 1, 4))["expected_minutes"].tolist() == [0, 0, 390]
    with pytest.raises(BadInput, match="name the calendar with an earlier start"):
        NEW_YORK.expected_minutes(date(1999, 12, 31))
    assert len(TradingCalendar.named("XNYS", date(1999, 1, 1)).expected_minutes(date(1999, 12, 30))) == 390


def test_no_session_may_reach_in_from_beyond_what_is_known() -> None:
    """Sydney's sessions open on the UTC day before their own, so the last known day ends with that opening."""
    assert (TradingCalendar.named("XASX").end.hour, NEW_YORK.end.hour) == (23, 0)


def test_a_calendar_that_begins_later_than_asked() -> None:
    riyadh = TradingCalendar.named("XSAU")
    assert riyadh.start == at("2021-01-01")
    assert riyadh is TradingCalendar.named("XSAU")


def test_names() -> None:
    assert TradingCalendar.named("NYSE").name == "XNYS"
    assert TradingCalendar.named("XNYS") is NEW_YORK
    with pytest.raises(BadInput, match=r"there is no exchange 'nyse'; known are NYSE, XNYS.*24/7"):
        TradingCalendar.named("nyse")


@pytest.mark.filterwarnings("error")
def test_no_warning_of_the_library_comes_through() -> None:
    assert len(TradingCalendar.named("XLON", date(2011, 3, 4)).expected_minutes(date(2011, 3, 4))) == 510


def test_a_width_must_divide_the_day() -> None:
    with pytest.raises(BadInput, match="a day must be a multiple"):
        NEW_YORK.grid("2024-11-27", "2024-11-28", timedelta(minutes=7))
    found = NEW_YORK.grid("2024-11-27T15:00:00Z", "2024-11-28", timedelta(hours=1))
    assert found.hour.tolist() == [15, 16, 17, 18, 19, 20]
    assert NEW_YORK.grid("2024-11-27", "2024-11-28", timedelta(hours=1)).hour.tolist()[0] == 14


stretch_lists = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=8)
range_lists = st.lists(st.tuples(st.integers(-3, 45), st.integers(1, 20)), max_size=6)


@given(stretch_lists, range_lists, st.integers(1, 5))
def test_arithmetic_like_counting_one_by_one(
    stretches: list[tuple[int, int]], ranges: list[tuple[int, int]], width: int
) -> None:
    is_open = {moment for start, length in stretches for moment in range(start, start + length)}
    made = Stretches(
        np.array([start for start, _ in stretches], dtype=np.int64),
        np.array([start + length for start, length in stretches], dtype=np.int64),
    )
    span = np.arange(-5, 70)
    assert made.holds(span).tolist() == [moment in is_open for moment in span.tolist()]
    starts = np.array([start for start, _ in ranges], dtype=np.int64)
    ends = np.array([start + length for start, length in ranges], dtype=np.int64)
    parts = made.split(starts, ends)
    expected: list[list[Any]] = []
    for at_range, (start, length) in enumerate(ranges):
        for moment in range(start, start + length):
            state = moment in is_open
            if expected and expected[-1][0] == at_range and expected[-1][3] == state and moment > start:
                expected[-1][2] = moment + 1
            else:
                expected.append([at_range, moment, moment + 1, state])
    found = zip(parts.of.tolist(), parts.start.tolist(), parts.end.tolist(), parts.open.tolist(), strict=True)
    assert [list(part) for part in found] == expected
    for start, length in ranges:
        buckets = [
            moment
            for moment in range(start, start + length)
            if moment % width == 0 and any(moment + of in is_open for of in range(width))
        ]
        assert made.buckets(start, start + length, width).tolist() == buckets


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=6))
def test_days_like_counting_one_by_one(stretches: list[tuple[int, int]]) -> None:
    """In tenths of a day."""
    tenth = DAY_US // 10
    is_open = {moment for start, length in stretches for moment in range(start, start + length)}
    made = Stretches(
        np.array([start * tenth for start, _ in stretches], dtype=np.int64),
        np.array([(start + length) * tenth for start, length in stretches], dtype=np.int64),
    )
    total, opening, closing = made.by_day(DAY_US, 6 * DAY_US)
    for day in range(1, 6):
        inside = [moment for moment in range(10 * day, 10 * day + 10) if moment in is_open]
        assert total[day - 1] == len(inside) * tenth
        if inside:
            assert (opening[day - 1], closing[day - 1]) == (inside[0] * tenth, (inside[-1] + 1) * tenth)
    assert MINUTE_US * 1440 == DAY_US


def test_a_caller_may_be_told_that_a_day_is_not_known() -> None:
    riyadh = TradingCalendar.named("XSAU")
    found = riyadh.by_day(date(2020, 12, 30), date(2021, 1, 5))
    assert found["known"].tolist() == [False, False, True, True, True, True]
    assert found["expected_minutes"].tolist() == [0, 0, 0, 0, 300, 300]
    assert found["open"].isna().tolist() == [True, True, True, True, False, False]
    after = riyadh.by_day(riyadh.end.date() - timedelta(days=1), riyadh.end.date() + timedelta(days=1))
    assert after["known"].tolist() == [True, False]
    times = np.array(["2020-12-31T08:00", "2021-01-02T08:00", "2021-01-03T08:00"], "datetime64[us]")
    assert riyadh.knows(times).tolist() == [False, True, True]
    assert riyadh.outside(times).tolist() == [False, True, False]
    assert riyadh.known.startswith("the calendar XSAU knows 2021-01-01T00:00:00Z up to 20")


def test_a_day_that_is_known_in_part_is_not_known() -> None:
    sydney = TradingCalendar.named("XASX")
    last = sydney.end.date()
    assert sydney.by_day(last - timedelta(days=1), last + timedelta(days=1))["known"].tolist() == [True, False]


@pytest.mark.parametrize(
    "name", importlib.import_module("exchange_calendars").get_calendar_names(include_aliases=False)
)
def test_every_exchange_of_the_library_has_a_calendar_that_answers(name: str) -> None:
    """Some cannot be made with some versions of pandas: those know no day."""
    calendar = TradingCalendar.named(name)
    days = calendar.by_day(date(1999, 12, 31), date(2000, 1, 2))
    assert len(days) == 2
    assert not days["known"][0]
    assert calendar.known


@pytest.mark.parametrize("name", ["NOWHERE", "", "xnys"])
def test_a_name_in_the_settings_that_no_exchange_has(name: str) -> None:
    calendar = TradingCalendar.configured(name)
    assert calendar.known.startswith(f"there is no exchange {name!r}")
    assert not calendar.by_day(date(2026, 11, 20), date(2026, 11, 21))["known"].any()
    with pytest.raises(BadInput, match="there is no exchange"):
        calendar.expected_minutes(date(2026, 11, 20))
