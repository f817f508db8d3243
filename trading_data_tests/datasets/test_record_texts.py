"""Every text with which a record is refused, each followed by what it advises, after which the record is taken.

The places at which a refusal is made are read off the source: one that no case comes to fails a test.
"""

import ast
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from trading_data import times
from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE, codec, rules
from trading_data.datasets.declaration import Column, Dataset
from trading_data.datasets.rules import Span
from trading_data.errors import BadInput
from trading_data.live import validation
from trading_data.live.validation import checked_records
from trading_data_tests.datasets.hostile import GOOD
from trading_data_tests.datasets.test_rules import loaded, raw
from trading_data_tests.rig import EARLIEST, MOMENT

SPAN = Span.at(MOMENT, EARLIEST)
MADE = {"Reason", "BadInput", "BadTime"}
NOT_OF_RECORDS = {"type_fault", "_stamp_fault", "_clipped"}
"""What is said of whole columns and of times that no record can hold: of files."""
IN_LOCAL_TIME = "2026-11-01T01:30:00[America/New_York]"


@dataclass(frozen=True)
class Case:
    """One column's bad value, the text about it, and the value that is right; by default what the text says to write."""

    dataset: Dataset
    column: str
    bad: Any
    said: str
    right: Any = None

    def advised(self, text: str) -> Any:
        """The value after the text was followed."""
        if self.right is not None:
            return self.right
        found = re.findall(
            r"write (?:it with its offset, |it as )?('[^']*'|\S+?)(?: for UTC\S*| for its\b.*| or .*)?[;,]", text
        )
        return ast.literal_eval(found[0]) if found[0].startswith("'") else found[0]


CASES = {
    "no choice": Case(TRADE, "side", "BUY", "'BUY' is none of buy, sell: write one of them", "buy"),
    "empty": Case(PRICE, "symbol", " \u200b", "is empty: give a name with visible characters", "AAPL"),
    "control characters": Case(PRICE, "symbol", "AA\nPL", "has control characters: write"),
    "padded": Case(TRADE, "order_id", "\ufeffo1 ", "begins or ends with blanks or invisible characters"),
    "a selector at the edge": Case(TRADE, "order_id", "o1\ufe0f", "begins or ends with blanks or invisible characters"),
    "NUL": Case(METRICS, "unit", "m\0s", "has a NUL character"),
    "half a pair": Case(METRICS, "unit", "\ud83d", "half of a surrogate pair", "\U0001f680"),
    "too long": Case(METRICS, "unit", "é" * 513, "has 1,026 bytes: shorten it, at most 1,024", "é" * 512),
    "a number too long for a text": Case(TRADE, "order_id", 10**5000, "shorten it, at most 1,024 bytes", 10**1000),
    "not UTF-8": Case(METRICS, "unit", b"\xb5s", "is not UTF-8", "µs".encode()),
    "text of another type": Case(TRADE, "order_id", 12345678901.0, "is of type float, which is not text", "12345678901"),
    "number of another type": Case(PRICE, "open", date(2024, 1, 8), "which is not a number: give a number", 11.0),
    "exact number of another type": Case(TRADE, "price", True, "which is not a number: give a Decimal", Decimal(1)),
    "text that is no number": Case(PRICE, "open", "1,5", "is not a number: write it in plain decimal", "11.5"),
    "empty text for a number": Case(PRICE, "open", "", "open is empty: give it, or leave the record out", "11.5"),
    "text that says NaN": Case(TRADE, "price", "nan", "is nan, not a finite number", "1.5"),
    "NaN": Case(METRICS, "value", float("nan"), "is nan, not a finite number: leave the record out", 1.5),
    "an integer beyond doubles": Case(METRICS, "value", 10**400, "is not a finite number: correct it", 10),
    "a double too large": Case(METRICS, "value", 1.5e100, "1.5e[+]100 is larger than 1e[+]100 in magnitude: correct it", 1.5e99),
    "an exact NaN": Case(TRADE, "quantity", Decimal("NaN"), "is NaN, not a finite number", Decimal(1)),
    "digits before the point": Case(TRADE, "price", Decimal("1E+20"), "more than 20 digits before", Decimal("1E+19")),
    "digits behind the point": Case(
        TRADE, "price", Decimal(10) / Decimal(3), "round it to 18", round(Decimal(10) / Decimal(3), 18)
    ),
    "out of bounds": Case(PRICE, "volume", -1.0, "is below 0: it must be at least 0", 0.0),
    "low above high": Case(PRICE, "low", 900.0, "low 900.0 is above high .*: correct one of the two", 9.5),
    "missing": Case(PRICE, "close", None, "close is missing: give it", 11.0),
    "far past": Case(PRICE, "timestamp", EARLIEST - timedelta(days=1), "before the first day partition", EARLIEST),
    "future": Case(PRICE, "timestamp", MOMENT + timedelta(days=2), "more than a day in the future", MOMENT),
    "no zone": Case(PRICE, "timestamp", "2024-01-08T15:00:00", "has no time zone"),
    "no zone by NumPy": Case(PRICE, "timestamp", np.datetime64("2024-01-08T15:00"), "numpy.datetime64, which has no"),
    "a day": Case(PRICE, "timestamp", date(2024, 1, 8), "is a day"),
    "no time": Case(PRICE, "timestamp", "yesterday", "is not an ISO 8601 time"),
    "a time of another type": Case(PRICE, "timestamp", timedelta(1), "is neither an aware datetime"),
    "NaT": Case(PRICE, "timestamp", pd.NaT, r"is missing \(NaT\): write a time", MOMENT),
    "too fine": Case(
        PRICE, "timestamp", "2024-01-08T15:00:00.0000001Z", "round it to six decimal places", "2024-01-08T15:00:00.000000Z"
    ),
    "since 1970": Case(PRICE, "timestamp", 1704726000, "if it counts s since 1970"),
    "a small number": Case(PRICE, "timestamp", 12.5, "is a number, not a time", MOMENT),
    "a spreadsheet's day": Case(
        PRICE, "timestamp", 45299.625, "from a spreadsheet, it is 2024-01-08T15:00:00 in local time", "2024-01-08T15:00:00Z"
    ),
    "beyond all years": Case(PRICE, "timestamp", "0001-01-01T00:00:00+14:00", "outside the years 1 to 9999", MOMENT),
    "a local time": Case(PRICE, "timestamp", IN_LOCAL_TIME, "occurred twice in the local time of America/New_York"),
    "a zone nobody knows": Case(PRICE, "timestamp", "2024-01-08T15:00:00[Mars]", "is not an ISO 8601 time"),
}  # fmt: skip
SHAPES: dict[str, tuple[Any, str, Any]] = {
    "a record alone": (GOOD["price"], "not a dict: wrap it in a list", [GOOD["price"]]),
    "a number": (5, "not a int: wrap it in a list", [GOOD["price"]]),
    "a text": ("AAPL", "not a str: wrap it in a list", [GOOD["price"]]),
    "a frame of pandas": (
        pd.DataFrame([GOOD["price"]]),
        r'with \.to_dict\("records"\)',
        pd.DataFrame([GOOD["price"]]).to_dict("records"),
    ),
    "an empty frame": (pd.DataFrame(), "not a DataFrame: pass its rows", []),
    "a table of Arrow": (
        pa.Table.from_pylist([GOOD["price"]]),
        r"with \.to_pylist\(\)",
        pa.Table.from_pylist([GOOD["price"]]).to_pylist(),
    ),
    "no record": (["AAPL"], "is a str: pass a record class of trading_data or a mapping", [GOOD["price"]]),
    "other columns": (
        [{**GOOD["price"], "o": 1}],
        r"missing \[\], unknown \['o'\]: pass exactly symbol, timestamp",
        [GOOD["price"]],
    ),
}


def refused(dataset: Dataset, records: Any) -> str:
    with pytest.raises(BadInput, match=r"(?s): .*; nothing was written$") as caught:
        checked_records(dataset, records, SPAN)
    return str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_a_refused_value_is_taken_after_what_the_text_advises(name: str) -> None:
    case = CASES[name]
    record = {**GOOD[case.dataset.name], case.column: case.bad}
    said = refused(case.dataset, [GOOD[case.dataset.name], record])
    assert said.startswith(f"{case.dataset.title}[1].{case.column} "), said
    assert re.search(case.said, said), said
    record[case.column] = case.advised(said)
    (fields,) = checked_records(case.dataset, [record], SPAN)
    assert loaded(case.dataset, {column: raw(text) for column, text in fields.items()})


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_no_list_of_records_is_taken_after_what_the_text_advises(name: str) -> None:
    given, text, right = SHAPES[name]
    said = refused(PRICE, given)
    assert re.search(text, said), said
    assert len(checked_records(PRICE, right, SPAN)) == len(right)


@pytest.mark.parametrize(("name", "bad", "said"), [
    ("ge", 4, "is below 5: it must be at least 5"),
    ("gt", 5, "is not above 5: it must be more than 5"),
    ("le", 6, "is above 5: it must be at most 5"),
    ("lt", 5, "is not below 5: it must be less than 5"),
])  # fmt: skip
def test_every_bound_says_what_is_right(name: str, bad: float, said: str) -> None:
    bounds: dict[str, Any] = {name: 5.0}
    reason = rules.bound_fault(Column("ratio", "float", "", **bounds), float(bad))
    assert reason is not None
    assert said in reason.text
    assert {bound[0] for bound in rules._BOUNDS} == {"ge", "gt", "le", "lt"}


def test_every_bound_and_choice_that_is_declared_is_refused_and_named() -> None:
    for dataset in DATASETS.values():
        for column in dataset.columns:
            for bound, beyond in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
                if (limit := getattr(column, bound)) is not None:
                    bad = Decimal(str(limit)) + beyond
                    assert f".{column.name} " in refused(dataset, [{**GOOD[dataset.name], column.name: bad}])
            if column.choices:
                assert f".{column.name} " in refused(dataset, [{**GOOD[dataset.name], column.name: "?"}])


def places(module: ModuleType) -> dict[str, range]:
    """Where refusals of records are made in a module's source: function and text, and the lines."""
    assert module.__file__
    source = Path(module.__file__).read_text(encoding="utf-8")
    found: dict[str, range] = {}
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef) and function.name not in NOT_OF_RECORDS:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MADE:
                    name = f"{module.__name__}.{function.name}: {ast.unparse(node)}"
                    found[name] = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return found


@contextmanager
def traced(files: set[str]) -> Iterator[set[tuple[str, int]]]:
    """The lines that are run in some files."""
    seen: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        yield seen
    finally:
        sys.settrace(before)


def test_no_text_is_left_out() -> None:
    modules = (rules, codec, validation, times)
    with traced({str(module.__file__) for module in modules}) as seen:
        for case in CASES.values():
            refused(case.dataset, [{**GOOD[case.dataset.name], case.column: case.bad}])
        for given, *_ in SHAPES.values():
            refused(PRICE, given)
    left = [
        name
        for module in modules
        for name, lines in places(module).items()
        if not any((module.__file__, line) in seen for line in lines)
    ]
    assert left == []


def test_what_is_said_of_columns_alone() -> None:
    good = {name: pa.array([raw(value)]) for name, value in GOOD["price"].items()}
    for column, values, said in (
        (
            "symbol",
            pa.array([1.5]),
            r"symbol comes as double, which is not text: write it as text .*dtype=\{'symbol': str\}",
        ),
        ("open", pa.array([True]), "open comes as bool, which is not a number: give a number"),
        (
            "timestamp",
            pa.array([2**62], pa.timestamp("us", "UTC")),
            "is outside the years 1 to 9999 in UTC: correct it",
        ),
        ("timestamp", pa.array(["2024-01-08T15:00:00" + "x" * 400]), "is not an ISO 8601 time with a zone"),
    ):
        (reason,) = codec.check(PRICE, {**good, column: values}, MOMENT, EARLIEST).bad.values()
        assert re.search(said, reason.text), reason.text
