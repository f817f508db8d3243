"""The rules of a legal value, each once, as functions of one value; a dataset's columns declare their bounds (`volume`: `ge=0`).

`live.validation` applies them to the records of producers and raises `BadInput`; `codec.check` applies them to journal entries
(`intake.entries`) and rows of files (`intake.import_rows`), whose faults lead to quarantine. So both accept the same rows. Whole
columns are judged at once, and only the values that this leaves open are judged one by one.

Belongs here: rules and reasons. Does not: types and formats of values (`datasets.codec`).
"""

import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.declaration import Column, Dataset

FUTURE = timedelta(days=1)
"""How far a timestamp may lie in the future: producers' clocks differ, but by less than a day."""
TEXT_BYTES = 1024
"""Longest text accepted: two texts still fit into one index entry of PostgreSQL (2,704 bytes)."""
LARGEST = 1e100
"""Largest magnitude of a double: the square of a larger one overflows in an average, and breaks the aggregate."""
DIGITS, SCALE = 38, 18
"""Most digits of an exact number, and most digits after the decimal point, as in DECIMAL(38, 18)."""

_PLAIN_TEXT = re.compile(rf"[!-~]([ -~]{{0,{TEXT_BYTES - 2}}}[!-~])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cf", "Cc"})
"""Unicode categories of blanks, separators, and format and control characters, such as NBSP, ZWSP and BOM."""
_BLANK_LETTERS = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters, symbols and variation selectors that are drawn as nothing."""
_BLANK, _DELETE = 0x20, 0x7F
_BOUNDS: tuple[tuple[str, Callable[[Any, Any], Any], str, str], ...] = (
    ("ge", operator.ge, "below", "at least"),
    ("gt", operator.gt, "not above", "more than"),
    ("le", operator.le, "above", "at most"),
    ("lt", operator.lt, "not below", "less than"),
)


@dataclass(frozen=True)
class Reason:
    """Why a value is not legal: `kind` for grouping, `text` with the field, its value and the remedy."""

    kind: str
    text: str


@dataclass(frozen=True)
class Span:
    """The range of legal moments: from `first`, the start of the first day partition, to `last`, both included."""

    first: datetime
    last: datetime

    @classmethod
    def at(cls, moment: datetime, earliest: datetime) -> "Span":
        """The legal moments now, at `moment`; `earliest` is the start of the first day partition."""
        return cls(earliest, moment + FUTURE)


def text_fault(column: Column, text: str) -> Reason | None:
    """Why a text is not legal in a column, or None."""
    name = column.name
    if column.choices:
        if text in column.choices:
            return None
        return Reason(
            f"unknown {name}", f"{name} {shown(text)} is none of {', '.join(column.choices)}: write one of them"
        )
    if _PLAIN_TEXT.fullmatch(text):
        return None
    if column.name_like:
        visible = _without_edges(text)
        if not visible:
            return Reason(f"empty {name}", f"{name} {shown(text)} is empty: give a name with visible characters")
        if _CONTROL.search(text):
            kept = _CONTROL.sub("", text)
            return Reason(
                f"absurd {name}",
                f"{name} {shown(text)} has control characters: write {shown(_without_edges(kept))}",
            )
        if visible != text:
            return Reason(
                f"padded {name}",
                f"{name} {shown(text)} begins or ends with blanks or invisible characters: write {shown(visible)}",
            )
    elif "\0" in text:
        without = text.replace("\0", "")
        return Reason(
            f"absurd {name}",
            f"{name} {shown(text)} has a NUL character, which PostgreSQL cannot store: write {shown(without)}",
        )
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Reason("not UTF-8", f"{name} {shown(text)} has half of a surrogate pair: write it in valid Unicode")
    if size > TEXT_BYTES:
        return Reason("too long", f"{name} has {size:,} bytes: shorten it, at most {TEXT_BYTES:,} are kept")
    return None


def float_fault(column: Column, number: float) -> Reason | None:
    """Why a double is not legal in a column, or None."""
    if not isfinite(number):
        return Reason(
            "not finite", f"{column.name} is {number}, not a finite number: leave the record out if there is no value"
        )
    if abs(number) > LARGEST:
        return Reason("too large", f"{column.name} {number!r} is larger than {LARGEST:g} in magnitude: correct it")
    return bound_fault(column, number)


def digits_fault(name: str, number: Decimal) -> Reason | None:
    """Why an exact number cannot be kept as it is, or None."""
    if not number.is_finite():
        return Reason(
            "not finite", f"{name} is {number}, not a finite number: leave the record out if there is no value"
        )
    if number and number.adjusted() >= DIGITS - SCALE:
        return Reason(
            "digits",
            f"{name} {shown(number)} has more than {DIGITS - SCALE} digits before the decimal point: correct it",
        )
    _, digits, exponent = number.as_tuple()
    if number and -int(exponent) - _zeros_at_end(digits) > SCALE:
        return Reason(
            "digits",
            f"{name} {shown(number)} has more than {SCALE} digits after the decimal point: round it to {SCALE}",
        )
    return None


def bound_fault(column: Column, number: float | Decimal) -> Reason | None:
    """Why a finite number is outside a column's bounds, or None."""
    for name, holds, broken, right in _BOUNDS:
        bound = getattr(column, name)
        if bound is not None and not holds(number, bound):
            kind = "negative" if number < 0 and bound == 0 else "too large" if name in ("le", "lt") else "too small"
            return Reason(kind, f"{column.name} {number} is {broken} {bound:g}: it must be {right} {bound:g}")
    return None


def time_fault(name: str, moment: datetime, span: Span) -> Reason | None:
    """Why a moment (aware) is not legal, or None."""
    if moment < span.first:
        return Reason(
            "far past",
            f"{name} {moment.isoformat()} is before the first day partition {span.first:%Y-%m-%d}: correct it, or set "
            "TRADING_DATA_START to an earlier day for the archive and every producer",
        )
    if moment > span.last:
        return Reason(
            "future", f"{name} {moment.isoformat()} is more than a day in the future: correct it, or the clock"
        )
    return None


def order_fault(low: str, high: str, values: tuple[Any, Any]) -> Reason | None:
    """Why two values are in the wrong order, or None."""
    if values[0] > values[1]:
        return Reason("order", f"{low} {values[0]} is above {high} {values[1]}: correct one of the two")
    return None


def missing(name: str) -> Reason:
    """The reason for a missing value: every column has a value in every row."""
    return Reason("missing field", f"{name} is missing: give it")


def fault(column: Column, value: Any, span: Span) -> Reason | None:
    """Why a value, as `codec.typed` returns it, is not legal in a column, or None."""
    if column.type == "time":
        return time_fault(column.name, value, span)
    if column.type == "text":
        return text_fault(column, value)
    return float_fault(column, value) if column.type == "float" else bound_fault(column, Decimal(value))


def floats_are_good(column: Column, numbers: Sequence[float]) -> bool:
    """Whether all doubles, at least one, are legal. May be False although they are."""
    if not all(map(isfinite, numbers)):
        return False
    return float_fault(column, min(numbers)) is None and float_fault(column, max(numbers)) is None


def texts_are_good(column: Column, texts: Iterable[str]) -> bool:
    """Whether all texts are legal."""
    return all(text_fault(column, text) is None for text in texts)


def times_are_good(name: str, moments: Sequence[datetime], span: Span) -> bool:
    """Whether all moments, at least one, are legal."""
    return time_fault(name, min(moments), span) is None and time_fault(name, max(moments), span) is None


def faults(dataset: Dataset, table: pa.Table, span: Span) -> Iterator[tuple[int, Reason]]:
    """Positions and reasons of all illegal values in a table with the dataset's columns.

    Args:
        dataset: declares the rules.
        table: columns of the types in `codec.ARROW_TYPES`; a null is a missing value.
        span: the legal moments.
    """
    for column in dataset.columns:
        values = table[column.name].combine_chunks()
        if values.null_count:
            for at in _where(pc.is_null(values)):
                yield at, missing(column.name)
        yield from _COLUMNS[column.type](column, values, span)
    for low, high in dataset.ordered:
        for at in _where(pc.greater(table[low], table[high])):
            reason = order_fault(low, high, (table[low][at].as_py(), table[high][at].as_py()))
            if reason is not None:
                yield at, reason


def shown(value: object) -> str:
    """A value for a message, cut to 60 characters."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length():,} bits"
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _text_column(column: Column, values: pa.Array, _: Span) -> Iterator[tuple[int, Reason]]:
    if not column.choices and _plain_texts(values):
        return
    distinct = values.dictionary_encode()
    bad = {
        at: reason for at, text in enumerate(distinct.dictionary.to_pylist()) if (reason := text_fault(column, text))
    }
    if bad:
        codes = distinct.indices.fill_null(-1).to_numpy()
        for at in np.flatnonzero(np.isin(codes, list(bad))).tolist():
            yield at, bad[int(codes[at])]


def _float_column(column: Column, values: pa.Array, _: Span) -> Iterator[tuple[int, Reason]]:
    numbers = values.to_numpy(zero_copy_only=False)  # a null is a NaN
    good = np.abs(numbers) <= LARGEST
    for name, holds, _broken, _right in _BOUNDS:
        if (bound := getattr(column, name)) is not None:
            good &= holds(numbers, bound)
    yield from _one_by_one(values, good, lambda number: float_fault(column, number))


def _exact_column(column: Column, values: pa.Array, _: Span) -> Iterator[tuple[int, Reason]]:
    """Faults of exact numbers as canonical text, whose digits `codec` has counted already."""
    bounds = [(holds, bound) for name, holds, *_ in _BOUNDS if (bound := getattr(column, name)) is not None]
    if not bounds:
        return
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    good = np.ones(len(numbers), bool)
    for holds, bound in bounds:
        # A number that rounds to the bound may lie on either side of it.
        good &= holds(numbers, bound) & (numbers != bound)
    yield from _one_by_one(values, good, lambda text: bound_fault(column, Decimal(text)))


def _time_column(column: Column, values: pa.Array, span: Span) -> Iterator[tuple[int, Reason]]:
    stamps = pc.fill_null(values.cast(pa.int64()), _micros(span.first)).to_numpy(zero_copy_only=False)
    good = (stamps >= _micros(span.first)) & (stamps <= _micros(span.last))
    if not good.all():
        for at in np.flatnonzero(~good).tolist():
            reason = _stamp_fault(column.name, values[at], span)
            if reason is not None:
                yield at, reason


_COLUMNS: dict[str, Callable[[Column, pa.Array, Span], Iterator[tuple[int, Reason]]]] = {
    "text": _text_column,
    "float": _float_column,
    "decimal": _exact_column,
    "time": _time_column,
}


def _one_by_one(
    values: pa.Array, good: "np.ndarray[Any, Any]", fault: Callable[[Any], Reason | None]
) -> Iterator[tuple[int, Reason]]:
    """The reasons of the values that the fast check of the column did not pass."""
    if good.all():
        return
    for at in np.flatnonzero(~good).tolist():
        value = values[at].as_py()
        if value is not None and (reason := fault(value)) is not None:
            yield at, reason


def _stamp_fault(name: str, value: pa.Scalar, span: Span) -> Reason | None:
    try:
        return time_fault(name, value.as_py(), span)
    except (OverflowError, ValueError):
        return Reason("out of range", f"{name} {value.value} µs is outside the years 1 to 9999 in UTC: correct it")


def _plain_texts(values: pa.Array) -> bool:
    """Whether no text is missing, empty or too long, all are printable ASCII, and none begins or ends with a blank."""
    if values.null_count or not len(values):
        return False
    _, offsets, letters = values.buffers()
    edges = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    lengths = np.diff(edges)
    if lengths.min() == 0 or lengths.max() > TEXT_BYTES:
        return False
    codes = np.frombuffer(letters, np.uint8)[: edges[-1]]
    inner = codes[edges[0] :]
    if inner.max() >= _DELETE:
        return False
    least = inner.min()
    return bool(
        least > _BLANK or (least == _BLANK and min(codes[edges[:-1]].min(), codes[edges[1:] - 1].min()) > _BLANK)
    )


def _without_edges(text: str) -> str:
    start, stop = 0, len(text)
    while start < stop and _is_invisible(text[start]):
        start += 1
    while stop > start and _is_invisible(text[stop - 1]):
        stop -= 1
    return text[start:stop]


def _is_invisible(letter: str) -> bool:
    return unicodedata.category(letter) in _INVISIBLE or _BLANK_LETTERS.match(letter) is not None


def _zeros_at_end(digits: tuple[int, ...]) -> int:
    return next((at for at, digit in enumerate(reversed(digits)) if digit), len(digits))


def _where(mask: Any) -> list[int]:
    """The positions at which a boolean array is true; null counts as false."""
    return pc.indices_nonzero(mask).to_pylist()  # type: ignore[no-any-return]


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
