"""One function takes or refuses a time at every door, and what it advises is taken."""

import re
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trading_data.errors import BadTime
from trading_data.times import epoch_unit, moment, utc

AT = datetime(2024, 1, 8, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [AT, pd.Timestamp(AT), "2024-01-08T14:00:00.000000000Z", "2024-01-08T09:00:00-05:00", "20240108T140000Z"]
)
def test_a_moment_is_a_plain_datetime_in_utc(value: Any) -> None:
    assert moment(value) == utc(value) == AT
    assert type(moment(value)) is datetime


@pytest.mark.parametrize("value", [date(2024, 1, 8), "2024-01-08", np.datetime64("2024-01-08")])
def test_a_day_is_a_bound_and_no_moment(value: Any) -> None:
    assert utc(value) == datetime(2024, 1, 8, tzinfo=UTC)
    with pytest.raises(BadTime, match="is a day"):
        moment(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (date(2024, 1, 8), "no zone"),
        (datetime(2024, 1, 8, 14), "no zone"),  # noqa: DTZ001
        (np.datetime64("2024-01-08T14:00"), "no zone"),
        (1704722400, "epoch"),
        (1704722400000, "epoch"),
        ("1704722400000000", "epoch"),
        (np.int64(1704722400000000000), "epoch"),
        (pd.NaT, "missing field"),
        (np.datetime64("NaT"), "missing field"),
        (None, "missing field"),
        (True, "not a time"),
        ("yesterday", "not a time"),
        (42, "epoch"),
    ],
)
def test_what_is_refused_says_how_to_write_it_and_that_is_taken(value: Any, kind: str) -> None:
    with pytest.raises(BadTime, match=r"^start ") as caught:
        moment(value, "start")
    assert caught.value.kind == kind
    advised = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:Z|\+00:00)|Z)", str(caught.value))
    assert moment(advised[-1]).tzinfo is UTC


@pytest.mark.parametrize("value", [np.datetime64("2024-01"), np.datetime64("2024"), "2024-01"])
def test_a_month_is_no_day(value: Any) -> None:
    with pytest.raises(BadTime):
        utc(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-11-01T01:30:00[America/New_York]", "occurred twice .* 2026-11-01T01:30:00-04:00 or 2026-11-01T01:30:00-05:00"),
        ("2026-03-08T02:30:00[America/New_York]", "was skipped .* 2026-03-08T02:30:00-04:00 or 2026-03-08T02:30:00-05:00"),
        ("2026-06-01T02:30:00[Europe/Berlin]", "is a local time of Europe/Berlin: write it with its offset, .*02:00$"),
    ],
)  # fmt: skip
def test_a_local_time_is_refused_with_its_offsets(value: str, said: str) -> None:
    with pytest.raises(BadTime, match=said) as caught:
        moment(value)
    for advised in re.findall(r"\d{4}-\S+[+-]\d\d:\d\d", str(caught.value)):
        assert moment(advised).tzinfo is UTC


@pytest.mark.parametrize("value", [pd.Timestamp("2024-01-08T14:00:00.000000001Z"), "2024-01-08T14:00:00,0000001Z"])
def test_what_is_finer_than_a_microsecond_is_never_cut(value: Any) -> None:
    with pytest.raises(BadTime, match="round it to six decimal places") as caught:
        moment(value)
    assert caught.value.kind == "too fine"


def test_the_unit_of_a_count_since_1970() -> None:
    counts = [1704722400 * 1000**power for power in range(4)]
    assert [epoch_unit(count) for count in (*counts, 42)] == ["s", "ms", "us", "ns", None]
