"""From a producer's fields to typed columns, and back: every entry becomes a row, or a reject with its reason.

Whole columns are converted at once. Values are converted one by one only in a column with a bad value, so that good columns cost
the same beside bad ones.

Belongs here: types and formats. Does not: which values are legal (`datasets.rules`), where entries come from and where rows go.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import rules
from trading_data.datasets.declaration import Column, ColumnType, Dataset
from trading_data.datasets.rules import Reason, shown
from trading_data.errors import BadTime
from trading_data.times import moment as moment_of

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "float": pa.float64(),
    "decimal": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
}

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number; Arrow reads the same texts."""
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE, _BEHIND = rules.DIGITS - rules.SCALE - 1, rules.SCALE - 1
_CANONICAL = rf"^(0|-?(0\.\d{{0,{_BEHIND}}}[1-9]|[1-9]\d{{0,{_WHOLE}}}(\.\d{{0,{_BEHIND}}}[1-9])?))$"
"""An exact number in its canonical form, within the digits that are kept."""
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_LONGEST_NUMBER = 1_000
"""Longest text that is parsed as a number."""


@dataclass(frozen=True)
class Checked:
    """The result of checking a block of entries: typed columns for all, and the reason for each bad one.

    `table` has the dataset's columns for every entry, null where a value was bad; `bad` maps the position of an
    entry to its reason.
    """

    table: pa.Table
    bad: dict[int, Reason]


def schema(dataset: Dataset) -> pa.Schema:
    """The Arrow schema of a dataset's rows: text and exact numbers as strings, floats as doubles, time as µs UTC."""
    return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in dataset.columns])


def check(dataset: Dataset, values: Mapping[str, pa.Array], moment: datetime, earliest: datetime) -> Checked:
    """Convert and check whole columns.

    Args:
        dataset: the declaration to check against.
        values: one array per column, all of one length: binary or text from the wire, or already typed.
        moment: now, by the clock; not from the entries' ids, which producers choose.
        earliest: the start of the first day partition.
    """
    bad: dict[int, Reason] = {}
    columns = [_convert(column, values[column.name], bad) for column in dataset.columns]
    table = pa.Table.from_arrays(columns, schema=schema(dataset))
    for at, reason in rules.faults(dataset, table, rules.Span.at(moment, earliest)):
        bad.setdefault(at, reason)
    return Checked(table, bad)


def typed(column: Column, value: object) -> Any:
    """One value in its column's type, or the reason why it has another type or form; `rules.fault` judges whether it is legal.

    A text column takes texts and integers; a number becomes a double or, in a decimal column, canonical text; a time an
    aware datetime in UTC. Bytes are text in UTF-8, as on the wire; booleans are not numbers.
    """
    if isinstance(value, bytes):
        value = _utf8(column.name, value)
    if value is None or isinstance(value, Reason):
        return value or rules.missing(column.name)
    return _TYPED[column.type](column.name, value)


def type_fault(column: Column, kind: pa.DataType) -> Reason | None:
    """Why no value of an Arrow type can be in a column, or None if that depends on the value."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if column.type == "time" or pa.types.is_null(kind) or _is_text(kind) or pa.types.is_integer(kind):
        return None
    if column.type != "text" and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    return Reason("wrong type", _wrong_type(column.name, f"comes as {kind}", column.type))


def plain(value: object) -> str:
    """A field's text in the form of the contract: numbers in plain decimal, times in ISO 8601 in UTC."""
    if isinstance(value, float):
        text = float.__repr__(value)  # the `repr` of numpy's floats has the name of their type
        return text if "e" not in text else format(Decimal(text), "f")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def canonical_decimal(text: str) -> str | None:
    """The canonical text of an exact number, without exponent and needless zeros; None if it is not a finite number."""
    if not _PLAIN_NUMBER.fullmatch(text):
        return None
    try:
        return _canonical(Decimal(text))
    except InvalidOperation:
        return None


def by_position(bad: Mapping[int, Reason], length: int) -> tuple[np.ndarray[Any, Any], Sequence[int]]:
    """A boolean mask of the good entries, and the positions of the bad ones in order."""
    good = np.ones(length, dtype=bool)
    positions = sorted(bad)
    good[positions] = False
    return good, positions


def _canonical(number: Decimal) -> str:
    text = format(number.normalize(_EXACT), "f")
    return "0" if text == "-0" else text


def _convert(column: Column, values: pa.Array, bad: dict[int, Reason]) -> pa.Array:
    target = ARROW_TYPES[column.type]
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    wrong = type_fault(column, values.type)
    if wrong is not None:
        return _one_by_one(values, target, lambda value: rules.missing(column.name) if value is None else wrong, bad)
    if pa.types.is_binary(values.type):
        try:
            values = values.cast(pa.string())
        except pa.ArrowInvalid:
            values = _one_by_one(values, pa.string(), lambda value: _utf8(column.name, value), bad)
    if column.type == "decimal" and not (pa.types.is_string(values.type) and _all_canonical(values)):
        return _one_by_one(values, target, lambda value: typed(column, value), bad)
    if values.type == target:
        return values
    if column.type == "time" and not (pa.types.is_string(values.type) or getattr(values.type, "tz", None)):
        return _one_by_one(values, target, lambda value: typed(column, value), bad)  # timestamps without a zone
    try:
        return values.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _one_by_one(values, target, lambda value: typed(column, value), bad)


def _all_canonical(values: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, _CANONICAL)).as_py())  # nulls are ignored


def _one_by_one(values: pa.Array, target: pa.DataType, parse: Callable[[Any], Any], bad: dict[int, Reason]) -> pa.Array:
    out: list[Any] = []
    for at, value in enumerate(values.to_pylist()):
        result = None if value is None else parse(value)
        if isinstance(result, Reason):
            bad.setdefault(at, _clipped(result))
            result = None
        out.append(result)
    return pa.array(out, target)


def _utf8(name: str, value: bytes) -> str | Reason:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Reason("not UTF-8", f"{name} is not UTF-8 ({value[:40]!r}): write it in UTF-8")


def _text(name: str, value: object) -> str | Reason:
    if isinstance(value, str):
        return str.__str__(value)  # never a subclass, such as a member of an enumeration
    if _is_number(value) and isinstance(value, Integral):
        return str(int(value)) if int(value).bit_length() < 4 * rules.TEXT_BYTES else _too_long(name, value)
    return _wrong(name, value, "text")


def _is_number(value: object) -> TypeGuard[Real | Decimal]:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool)


def _too_long(name: str, value: object) -> Reason:
    return Reason("too long", f"{name} is {shown(value)}: shorten it, at most {rules.TEXT_BYTES:,} bytes are kept")


def _float(name: str, value: object) -> float | Reason:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else _not_a_number(name, value)
    if not _is_number(value):
        return _wrong(name, value, "float")
    try:
        return float(value)
    except (OverflowError, ValueError):  # an integer beyond all doubles; a signalling NaN
        return Reason("not finite", f"{name} {shown(value)} is not a finite number: correct it")


def _exact(name: str, value: object) -> str | Reason:
    """The canonical text of an exact number, or the reason why it has too many digits; bounds are judged later."""
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or not _PLAIN_NUMBER.fullmatch(value):
            return _not_a_number(name, value)
        number = Decimal(value)
    elif not _is_number(value):
        return _wrong(name, value, "decimal")
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, Integral):
        number = Decimal(int(value))
    else:
        number = Decimal(repr(float(value)))
    return rules.digits_fault(name, number) or _canonical(number)


def _not_a_number(name: str, text: str) -> Reason:
    if text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return Reason(
            "not finite",
            f"{name} is {text.strip().lower()}, not a finite number: leave the record out if there is no value",
        )
    if not text.strip():
        return Reason("missing field", f"{name} is empty: give it, or leave the record out if there is no value")
    return Reason("not a number", f"{name} {shown(text)} is not a number: write it in plain decimal, such as 1234.5")


def _time(name: str, value: object) -> datetime | Reason:
    try:
        return moment_of(value, name)
    except BadTime as error:
        return Reason(error.kind, str(error))


_TYPED: Mapping[ColumnType, Callable[[str, object], Any]] = {
    "text": _text,
    "float": _float,
    "decimal": _exact,
    "time": _time,
}
_WANTED = {
    "text": "write it as text at the source, before a missing value turns it into a number (pandas: dtype={{{name!r}: str}})",
    "float": "give a number",
    "decimal": "give a Decimal",
}


def _wrong(name: str, value: object, wanted: ColumnType) -> Reason:
    return Reason("wrong type", _wrong_type(name, f"{shown(value)} is of type {type(value).__name__}", wanted))


def _wrong_type(name: str, comes: str, wanted: ColumnType) -> str:
    kind = "text" if wanted == "text" else "a number"
    return f"{name} {comes}, which is not {kind}: {_WANTED[wanted].format(name=name)}"


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_binary(kind)
        or types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind)
    )  # fmt: skip


def _clipped(reason: Reason) -> Reason:
    return reason if len(reason.text) <= 300 else Reason(reason.kind, f"{reason.text[:299]}…")
