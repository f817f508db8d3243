"""A frame as text: every figure reads back as the same double, columns stand below one another, nothing reaches a terminal raw."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from trading_data.cli.query import frame_text

AT = datetime(2026, 11, 20, 15, tzinfo=UTC)


def test_small_and_large_figures_stand_side_by_side() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["SHIB", "BTC"],
            "timestamp": pd.to_datetime([AT, AT.replace(microsecond=5)]),
            "close": [0.00000812, 731299.99],
            "volume": [123456789012345.0, 0.5],
            "fills": [1, 20],
        }
    )
    assert frame_text(frame).splitlines() == [
        "symbol  timestamp                                   close             volume  fills",
        "SHIB    2026-11-20 15:00:00+00:00              0.00000812  123456789012345        1",
        "BTC     2026-11-20 15:00:00.000005+00:00  731299.99                      0.5     20",
    ]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100), min_size=1))
def test_every_double_reads_back(values: list[float]) -> None:
    head, *lines = frame_text(pd.DataFrame({"value": values})).splitlines()
    assert head.strip() == "value"
    assert [float(line) for line in lines] == values
    assert not {"e", "E"} & set("".join(lines))
    units = {len(line.partition(".")[0].rstrip()) for line in lines}
    assert len(units) == 1


def test_exact_numbers_and_what_is_missing() -> None:
    frame = pd.DataFrame(
        {
            "price": [Decimal("1E-18"), Decimal("12.50"), None],
            "value": [1.5, math.nan, 1e22],
            "unit": pd.Series(["", None, "ms"], dtype=object),
            "when": [AT, pd.NaT, None],
            "day": [date(2026, 11, 20)] * 3,
        }
    )
    rows = [line.split() for line in frame_text(frame).splitlines()]
    day, time = "2026-11-20", ["2026-11-20", "15:00:00+00:00"]
    assert rows[1:] == [
        ["0.000000000000000001", "1.5", *time, day],
        ["12.50", "NaN", "None", "NaT", day],
        ["None", "10000000000000000000000", "ms", "NaT", day],
    ]


def test_texts_are_escaped_and_wide_letters_count_twice() -> None:
    frame = pd.DataFrame({"symbol": ["株\x1b[31m", "AAPL"], "tier": ["live", "archive"]})
    lines = frame_text(frame).splitlines()
    assert "\x1b" not in lines[1]
    assert {cell_len(line.partition("live")[0].partition("archive")[0].partition("tier")[0]) for line in lines} == {12}


def test_a_frame_without_rows_is_its_names() -> None:
    assert frame_text(pd.DataFrame({"symbol": [], "close": []})) == "symbol  close"
