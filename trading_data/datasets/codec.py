"""From what a producer sent to typed columns, and back: every entry ends as a row or as a reject with its reason.

Whole columns are converted at once; only when a column has something wrong in it are its values looked at one by one,
so that good entries cost the same whatever stands beside them.

Belongs here: types, rules and reasons. Does not: where entries come from and where rows go.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.declaration import Column, Dataset

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "float": pa.float64(),
    "decimal": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
}
FUTURE = timedelta(days=1)
"""How far an entry's own timestamp may lie ahead: producers' clocks differ, their days do not."""
TEXT_BYTES = 1024
"""Longest text accepted: two of them still fit into one index entry of PostgreSQL (2,704 bytes)."""
LARGEST = 1e100
"""Largest double accepted, either sign: the square of a larger one overflows in an average, and with it the aggregate."""
DIGITS, SCALE = 38, 18
"""Most digits, and most of them behind the point, of an exact number; as in DECIMAL(38, 18)."""

_BLANK, _DELETE = 0x20, 0x7F
CONTROL = r"[\x00-\x1f\x7f]"
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_NANOSECONDS = re.compile(r"(.*\.\d{6})(\d{1,3})(\D.*)?", re.DOTALL)


@dataclass(frozen=True)
class Reason:
    """Why an entry cannot become a row: `kind` to group by, `text` with the offending field and value."""

    kind: str
    text: str


@dataclass(frozen=True)
class Checked:
    """The outcome for a block of entries: typed columns for all, and the reason for each that is not good.

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
        values: one array a column, all of one length: binary or text as it came over the wire, or typed already.
        moment: now. Not the entries' ids: their milliseconds are whatever a producer likes.
        earliest: the first moment for which there is a partition.
    """
    bad: dict[int, Reason] = {}
    columns = [_convert(column, values[column.name], bad) for column in dataset.columns]
    table = pa.Table.from_arrays(columns, schema=schema(dataset))
    for column in dataset.columns:
        _RULES[column.type](column, table[column.name].combine_chunks(), bad)
    _check_times(dataset, table, moment, earliest, bad)
    for low, high in dataset.ordered:
        for at in _where(pc.greater(table[low], table[high])):
            _reject(bad, at, "order", f"{low} {table[low][at].as_py()} is above {high} {table[high][at].as_py()}")
    return Checked(table, bad)


def plain(value: object) -> str:
    """A field's text as the contract wants it: numbers in plain decimal, times ISO 8601 in UTC."""
    if isinstance(value, float):
        text = float.__repr__(value)  # numpy's floats are floats, and write their own name around it
        return text if "e" not in text else format(Decimal(text), "f")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)


def canonical_decimal(text: str) -> str | None:
    """The one way to write an exact number: no exponent, no superfluous zeros; None if it is not a finite number."""
    if not _PLAIN_NUMBER.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    plain_text = format(number.normalize(_EXACT), "f")
    return "0" if plain_text == "-0" else plain_text


_EXACT = Context(prec=400)


def _reject(bad: dict[int, Reason], at: int, kind: str, text: str) -> None:
    bad.setdefault(int(at), Reason(kind, text if len(text) <= 300 else text[:299] + "…"))


def _where(mask: Any) -> list[int]:
    """The positions at which a boolean array is true; null counts as false."""
    return pc.indices_nonzero(mask).to_pylist()  # type: ignore[no-any-return]


def _convert(column: Column, values: pa.Array, bad: dict[int, Reason]) -> pa.Array:
    target = ARROW_TYPES[column.type]
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_binary(values.type):
        try:
            values = values.cast(pa.string())
        except pa.ArrowInvalid:
            values = _one_by_one(column, values, pa.string(), _utf8, bad)
    if column.type == "decimal":
        return _one_by_one(column, values, target, _decimal, bad)
    if values.type == target:
        return values
    if column.type == "time" and not (pa.types.is_string(values.type) or getattr(values.type, "tz", None)):
        return _one_by_one(column, values, target, _time, bad)  # typed, but without a zone
    try:
        return values.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _one_by_one(column, values, target, _PARSERS[column.type], bad)


def _one_by_one(column: Column, values: pa.Array, target: pa.DataType, parse: Any, bad: dict[int, Reason]) -> pa.Array:
    out: list[Any] = []
    for at, value in enumerate(values.to_pylist()):
        found = None if value is None else parse(column.name, value)
        if isinstance(found, Reason):
            bad.setdefault(at, found)
            found = None
        out.append(found)
    return pa.array(out, target)


def _utf8(name: str, value: bytes) -> str | Reason:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Reason("not UTF-8", f"{name} is not UTF-8: {value[:40]!r}")


def _decimal(name: str, value: object) -> str | Reason:
    text = canonical_decimal(plain(value))
    if text is None:
        return _not_a_number(name, str(value))
    whole, _, behind = text.lstrip("-").partition(".")
    if len(behind) > SCALE or len(whole) > DIGITS - SCALE:
        return Reason(
            "digits", f"{name} {text!s:.60} has more than {DIGITS - SCALE} digits before or {SCALE} behind the point"
        )
    return text


def _float(name: str, value: object) -> float | Reason:
    if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value):
        return _not_a_number(name, value)
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return _not_a_number(name, str(value))


def _not_a_number(name: str, text: str) -> Reason:
    if text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return Reason("not finite", f"{name} is {text.strip().lower()}, not a finite number")
    return Reason("not a number", f"{name} {text!r:.60} is not a number in plain decimal")


def _time(name: str, value: object) -> datetime | Reason:
    if isinstance(value, str):
        finer = _NANOSECONDS.fullmatch(value)
        if finer and finer[2].strip("0"):
            return Reason(
                "too fine", f"{name} {value!r:.60} is finer than a microsecond, which the archive cannot hold"
            )
        text = value if finer is None else finer[1] + (finer[3] or "")
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return Reason("not a time", f"{name} {text!r:.60} is not an ISO 8601 time")
    if not isinstance(value, datetime):
        return Reason("not a time", f"{name} {value!r:.60} is not a time")
    if value.tzinfo is None:
        return Reason("no zone", f"{name} {value.isoformat()} has no time zone: write …Z for UTC")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return Reason("out of range", f"{name} {value.isoformat()} is outside the years 1 to 9999")


def _text(_: str, value: object) -> str | Reason:
    return value if isinstance(value, str) else str(value)


_PARSERS = {"text": _text, "float": _float, "time": _time}


def _check_text(column: Column, values: pa.Array, bad: dict[int, Reason]) -> None:
    if not column.choices and _plain_texts(values):
        return
    name = column.name
    _check_present(column, values, bad)
    for at in _where(pc.greater(pc.binary_length(values), TEXT_BYTES)):
        _reject(
            bad, at, "too long", f"{name} has {len(values[at].as_py().encode())} bytes; at most {TEXT_BYTES} are kept"
        )
    if column.choices:
        for at in _where(pc.invert(pc.is_in(values, pa.array(column.choices)))):
            _reject(
                bad, at, f"unknown {name}", f"{name} {values[at].as_py()!r:.60} is none of {', '.join(column.choices)}"
            )
    if column.name_like:
        for at in _where(pc.equal(pc.utf8_trim_whitespace(values), "")):
            _reject(bad, at, f"empty {name}", f"{name} is empty")
        for at in _where(pc.match_substring_regex(values, CONTROL)):
            _reject(bad, at, f"absurd {name}", f"{name} {values[at].as_py()!r:.60} has control characters in it")
    else:
        for at in _where(pc.match_substring(values, "\0")):
            _reject(bad, at, f"absurd {name}", f"{name} has a NUL in it, which PostgreSQL cannot hold")


def _plain_texts(values: pa.Array) -> bool:
    """Whether every text is there and neither empty nor too long, and all are printable ASCII without blanks: no rule of texts
    but a list of choices can find anything in them.
    """
    if values.null_count or not len(values):
        return False
    _, offsets, letters = values.buffers()
    edges = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    lengths = np.diff(edges)
    if lengths.min() == 0 or lengths.max() > TEXT_BYTES:
        return False
    found = np.frombuffer(letters, np.uint8)[edges[0] : edges[-1]]
    return bool(found.min() > _BLANK and found.max() < _DELETE)


def _check_float(column: Column, values: pa.Array, bad: dict[int, Reason]) -> None:
    if _in_bounds(column, values):
        return
    _check_present(column, values, bad)
    for at in _where(pc.invert(pc.is_finite(values))):
        _reject(bad, at, "not finite", f"{column.name} is {values[at].as_py()}, not a finite number")
    for at in _where(pc.greater(pc.abs(values), LARGEST)):
        _reject(bad, at, "too large", f"{column.name} {values[at].as_py()} is beyond {LARGEST:g}")
    _check_bounds(column, values, values, bad)


def _in_bounds(column: Column, values: pa.Array) -> bool:
    """Whether every number is there, finite and within all bounds; where there is a NaN, nothing compares."""
    if values.null_count or not len(values):
        return False
    numbers = values.to_numpy()
    low, high = numbers.min(), numbers.max()
    least = -LARGEST if column.least is None else column.least
    return bool(least <= low and high <= LARGEST and (column.above is None or low > column.above))


def _check_decimal(column: Column, values: pa.Array, bad: dict[int, Reason]) -> None:
    _check_present(column, values, bad)
    if column.least is not None or column.above is not None:
        _check_bounds(column, values.cast(pa.float64()), values, bad)


def _check_bounds(column: Column, numbers: pa.Array, shown: pa.Array, bad: dict[int, Reason]) -> None:
    if column.least is not None:
        for at in _where(pc.less(numbers, column.least)):
            kind = "negative" if column.least == 0 else "too small"
            _reject(bad, at, kind, f"{column.name} {shown[at].as_py()} is below {column.least:g}")
    if column.above is not None:
        for at in _where(pc.less_equal(numbers, column.above)):
            kind = "negative" if numbers[at].as_py() < 0 else "too small"
            _reject(bad, at, kind, f"{column.name} {shown[at].as_py()} is not above {column.above:g}")


def _check_present(column: Column, values: pa.Array, bad: dict[int, Reason]) -> None:
    if values.null_count:
        for at in _where(pc.is_null(values)):
            _reject(bad, at, "missing field", f"{column.name} is missing")


def _check_times(
    dataset: Dataset, table: pa.Table, moment: datetime, earliest: datetime, bad: dict[int, Reason]
) -> None:
    name = dataset.key[1]
    times = table[name].combine_chunks()
    stamps = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    good = pc.is_valid(times).to_numpy(zero_copy_only=False)
    first = round(earliest.timestamp()) * 1_000_000
    for at in np.flatnonzero(good & (stamps < first)).tolist():
        _reject(
            bad, at, "far past", f"{name} {_shown(times, at)} is before the first day partition {earliest:%Y-%m-%d}"
        )
    latest = round((moment + FUTURE).timestamp() * 1_000_000)
    for at in np.flatnonzero(good & (stamps > latest)).tolist():
        _reject(bad, at, "future", f"{name} {_shown(times, at)} lies more than a day in the future")


def _shown(times: pa.Array, at: int) -> str:
    try:
        return str(times[at].as_py().isoformat())
    except (OverflowError, ValueError):
        return f"{times[at].value} µs"


_RULES = {"text": _check_text, "float": _check_float, "decimal": _check_decimal, "time": _check_present}


def by_position(bad: Mapping[int, Reason], length: int) -> tuple[np.ndarray[Any, Any], Sequence[int]]:
    """A boolean mask of the good entries, and the positions of the bad ones in order."""
    good = np.ones(length, dtype=bool)
    positions = sorted(bad)
    good[positions] = False
    return good, positions
