"""Records as nobody should write them: strategies for tests of the rules, at the door and at the load.

Belongs here: generated values and records. Does not: what is expected of them.
"""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from trading_data.datasets import DATASETS
from trading_data.datasets.declaration import Dataset
from trading_data.times import now
from trading_data_tests.rig import bar, fill, measurement

GOOD: dict[str, dict[str, Any]] = {
    name: {column: getattr(record, column) for column in DATASETS[name].names}
    for name, record in (("price", bar()), ("trade", fill()), ("metrics", measurement()))
}


class Side(str, Enum):  # noqa: UP042 - its text is not its value, as callers have it
    """A text that is a member of an enumeration."""

    BUY = "buy"


EDGES = ["\u00a0", "\u200b", "\ufeff", "\u2060", "\u3000", "\u2028", "\u00ad", "\u3164", " ", "\t", "\n", "\x85", "\0"]
TEXTS: list[Any] = [
    *(
        "",
        " ",
        "AAPL",
        "AAPL  240119C00100000",
        "日経225",
        "🚀",
        "\u200b",
        "a\0b",
        "a\nb",
        "a\x85b",
        "\ud800",
        "x" * 6000,
    ),
    *("x" * 1024, "é" * 512, "é" * 513, "x" * 1023 + "é", "buy", "BUY", "a:b", "*", "{x}", "1.2345678901e+10"),
    *(f"A{edge}" for edge in EDGES),
    *(f"{edge}A" for edge in EDGES),
    *(f"A{edge}B" for edge in EDGES),
    *(
        np.str_("AAPL"),
        Side.BUY,
        12345678901,
        10**1023,
        10**1024,
        10**5000,
        np.int64(7),
        -3,
        12345678901.0,
        True,
        np.bool_(True),
    ),
    *(b"AAPL", b"\xff", date(2024, 1, 8), Decimal(5), None, float("nan"), pd.NaT),
]
NUMBERS: list[Any] = [
    *(
        0,
        -0.0,
        1,
        -1,
        10**400,
        -(10**400),
        1e100,
        1.1e100,
        -1e100,
        1e-400,
        5e-324,
        1e22,
        1e-9,
        0.1,
        float("nan"),
        float("inf"),
    ),
    *(
        -37.63,
        np.float64(1.5),
        np.float32(0.1),
        np.float16(0.1),
        np.int64(3),
        np.uint8(3),
        np.bool_(True),
        True,
        False,
        None,
    ),
    *(
        Decimal(0),
        Decimal("-0"),
        Decimal("0E+999"),
        Decimal("0E-999"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
    ),
    *(Decimal(0.1), Decimal(10) / Decimal(3), Decimal("1E+19"), Decimal("1E+20"), Decimal("1E-18"), Decimal("1E-19")),  # noqa: RUF032
    *(
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        Decimal("1." + "0" * 500 + "1"),
        Decimal("1." + "0" * 500),
        10**19,
        10**20,
    ),
    *(
        "1",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "1e5",
        "1e0001",
        "1E-18",
        "1e999999999",
        "0x10",
        "nan",
        "-inf",
        "١٢",
        "1,5",
        "",
        ".",
        "1.",
        ".5",
    ),
    *(
        "-0",
        "-0.0",
        "1" * 2000,
        "0." + "1" * 2000,
        Fraction(1, 3),
        3j,
        b"5",
        b"\xff",
        date(2024, 1, 8),
        datetime(2024, 1, 8),  # noqa: DTZ001
        pd.NaT,
    ),
]
TIMES: list[Any] = [
    *(datetime(2024, 1, 8, 15), datetime(1999, 12, 31, 23, 59, 59, 999999, UTC), datetime(2000, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
    *(
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    ),
    *(
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
        datetime(2024, 1, 8, 15, tzinfo=timezone(timedelta(seconds=5))),
    ),
    *(
        pd.Timestamp("2024-01-08T15:00:00.123456Z"),
        pd.Timestamp("2024-01-08T15:00:00.123456001Z"),
        pd.Timestamp("2024-01-08"),
        pd.NaT,
    ),
    *(
        np.datetime64("NaT"),
        np.datetime64("2024-01-08"),
        np.datetime64("2024-01-08T15:00:00.123456789"),
        date(2024, 1, 8),
        None,
    ),
    *(
        1704722400,
        1704722400000,
        1.7047224e9,
        True,
        Decimal(1704722400),
        "1704722400000",
        "20240108",
        "2024-01-08",
        "2024-W02-1",
    ),
    *("2024-01-08T15:00:00Z", "2024-01-08T15:00:00", "2024-01-08T15:00:00.1234567Z", "2024-01-08T15:00:00,1234567Z"),
    *(
        "2024-01-08T15:00:00.1234560000000000Z",
        "2024-01-08T15:00:00.12345600000000001Z",
        " 2024-01-08T15:00:00Z",
        "20240108T150000Z",
    ),
    *(
        "2024-01-08T15:00:60Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "",
        "yesterday",
        "x" * 6000,
        b"2024-01-08T15:00:00Z",
    ),
]
POOLS: dict[str, list[Any]] = {"text": TEXTS, "float": NUMBERS, "decimal": NUMBERS, "time": TIMES}
DRAWN: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=6) | st.text(st.characters(categories=["Cf", "Zs", "Cc", "Cs", "Lo", "So"]), max_size=4),
    "float": st.floats() | st.integers() | st.decimals() | st.text("0123456789.eE+-_ ", max_size=8),
    "decimal": st.decimals() | st.floats() | st.integers() | st.text("0123456789.eE+-_ ", max_size=8),
    "time": st.datetimes(timezones=st.timezones() | st.none()) | st.text("0123456789TZ:-+. ,W", max_size=26),
}


@st.composite
def records(draw: st.DrawFn, dataset: Dataset) -> dict[str, Any]:
    """A good record of which up to three values were changed for hostile ones. `now()` decides where today ends."""
    out = dict(GOOD[dataset.name])
    for name in draw(st.lists(st.sampled_from(dataset.names), min_size=1, max_size=3, unique=True)):
        kind = dataset.column[name].type
        pool = (
            [*POOLS[kind], now() + timedelta(hours=23), now() + timedelta(hours=25)] if kind == "time" else POOLS[kind]
        )
        out[name] = draw(st.sampled_from(pool) | DRAWN[kind])
    return out
