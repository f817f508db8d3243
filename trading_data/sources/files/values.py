"""Converts values of files for `datasets.codec`: texts as written, times in UTC, numbers in plain decimal.

Values are not judged here: what cannot be converted stays as written, so that the codec's reason shows the original value.

Belongs here: from a file's columns to one of the dataset. Does not: opening files (`read`), and matching columns (`form`).
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets.codec import plain
from trading_data.datasets.declaration import Column
from trading_data.errors import BadTime
from trading_data.sources.files.form import FileForm
from trading_data.times import ceil, moment, spreadsheet_time

_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST, _BEYOND = 94_694_400, 7_258_118_400, 253_402_300_800
"""Seconds since 1970 at which the years 1973, 2200 and 10,000 begin."""
_TIME_KINDS = ("epoch", "not a time", "no zone", "far past", "future", "out of range")
EXCEL = "excel"
WESTERN = "cp1252"
"""The encoding of files of Western Windows programs; Latin-1 has the same letters."""
_PRICES, _AMOUNTS = ("open", "high", "low", "close", "price"), ("volume", "quantity")
_CURRENCY = r"^\s*([+-]?)[$€£¥]\s*([0-9.])"
_ABBREVIATED = re.compile(r"([+-]?\d+(?:\.\d*)?) ?([KMB])", re.ASCII | re.IGNORECASE)
_TIMES = {"k": 3, "m": 6, "b": 9}
_COUNT = re.compile(r"[+-]?\d{1,19}(\.\d{0,15})?")
_GROUPED, _COMMA = (
    re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"),
    re.compile(r"[+-]?\d+,\d+|[+-]?\d{1,3}(\.\d{3})+(,\d+)?"),
)
_SPACED = re.compile("[+-]?\\d{1,3}(['\u2019\u00a0\u202f ])\\d{3}(?:\\1\\d{3})*(\\.\\d*)?")
"""Thousands as written in Switzerland and France."""
_FORMATS = (
    *("%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y"),
    *("%Y%m%d %H%M%S", "%Y%m%d %H:%M:%S", "%Y%m%d %H:%M", "%Y.%m.%d %H:%M:%S", "%Y.%m.%d %H:%M", "%Y/%m/%d %H:%M:%S"),
    *("%Y/%m/%d %H:%M", "%Y/%m/%d", "%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y"),
    *("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%m/%d/%Y %I:%M %p"),
    *("%m/%d/%Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %I:%M:%S %p"),
    *("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S.%f UTC", "%d/%m/%y %H:%M:%S", "%d/%m/%y %H:%M", "%m/%d/%y %H:%M"),
)
"""Formats of times other than ISO 8601, to propose; where day and month can be swapped, the first that fits is proposed."""


def text_column(form: FileForm, column: Column, parts: Sequence[pa.Array]) -> pa.Array:
    """A column of a CSV file: text as written, or binary where a block is not UTF-8; times and numbers as the form says."""
    values = _joined([_text(part) for part in parts])
    if not pa.types.is_string(values.type):
        return values
    if column.type == "time":
        return _moments(form, values)
    return _scaled(form, column, _number(form, column, values)) if column.type in ("float", "decimal") else values


def typed_column(form: FileForm, column: Column, parts: Sequence[pa.Array]) -> pa.Array:
    """A column of a Parquet file: its own type, without dictionaries and large texts; exact numbers and days as text."""
    plain_parts = [_simple(part) for part in parts]
    values = _joined([_text(part.cast(pa.string())) for part in plain_parts]) if len(parts) > 1 else plain_parts[0]
    kind = values.type
    if column.type == "time":
        return _moments(form, values)
    if pa.types.is_decimal(kind) and column.type != "text":
        # Not left to Arrow, whose text of a small decimal has an exponent.
        values = pa.array([None if value is None else format(value, "f") for value in values.to_pylist()], pa.string())
    elif pa.types.is_string(kind) and column.type in ("float", "decimal"):
        values = _number(form, column, values)
    return _scaled(form, column, values)


def option_for(kind: str, column: str, value: object, form: FileForm) -> list[str]:
    """The option of `trading-data import` that would read a rejected value; empty where no option would."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else plain(value)
    if kind in _TIME_KINDS and (unit := _unit_of(text)) not in (None, form.epoch):
        return ["--epoch", str(unit)]
    if kind == "no zone" and form.zone is None:
        return ["--zone", "UTC"]
    if kind == "not a time" and form.time_format is None:
        fitting = formats_of(text)
        return ["--time-format", fitting[0]] if fitting else []
    if kind == "not UTF-8" and form.encoding == "utf-8":
        return ["--encoding", WESTERN]
    if kind == "not a number" and column in _AMOUNTS and not form.abbreviated and _ABBREVIATED.fullmatch(text):
        return ["--abbreviated"]
    if kind == "not a number" and form.decimal == "." and not form.thousands:
        if _GROUPED.fullmatch(text):
            return ["--thousands", ","]
        if spaced := _SPACED.fullmatch(text):
            return ["--thousands", spaced[1]]
        if _COMMA.fullmatch(text):
            return ["--decimal", ",", *(["--thousands", "."] if "." in text else [])]
    return []


def formats_of(text: str, among: Sequence[str] = _FORMATS) -> list[str]:
    """The formats that read a time, most usual first."""
    return [format_ for format_ in among if _parsed(text, format_) is not None]


def _unit_of(text: str) -> str | None:
    """The unit in which a number is a moment of the years 1973 to 2199; at most one unit fits."""
    if not _COUNT.fullmatch(text):
        return None
    count = Decimal(text)
    if spreadsheet_time(count) is not None:
        return EXCEL
    return next((unit for unit, parts in _SECOND.items() if _FIRST <= count / parts < _LAST), None)


def _text(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return values


def _joined(parts: Sequence[pa.Array]) -> pa.Array:
    """Several columns as one, joined by a blank."""
    if len(parts) == 1:
        return parts[0]
    kind = pa.binary() if any(pa.types.is_binary(part.type) for part in parts) else pa.string()
    return pc.binary_join_element_wise(*(part.cast(kind) for part in parts), pa.scalar(" ").cast(kind))


def _simple(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return values.cast(pa.binary())
    return values


def _number(form: FileForm, column: Column, values: pa.Array) -> pa.Array:
    """Numbers as text in plain decimal; a currency sign before a price says nothing that matters here."""
    if column.name in _PRICES and _has_signs(values):
        values = pc.replace_substring_regex(values, _CURRENCY, r"\1\2")
    if form.thousands:
        values = pc.replace_substring(values, form.thousands, "")
    if form.decimal != ".":
        values = pc.replace_substring(values, form.decimal, ".")
    return _each(values, _whole) if form.abbreviated and column.name in _AMOUNTS else values


def _has_signs(values: pa.Array) -> bool:
    """Whether a text has other characters than those of a number."""
    letters = values.buffers()[2]
    codes = np.frombuffer(letters, np.uint8) if letters is not None else np.zeros(0, np.uint8)
    return bool(len(codes)) and bool(codes.min() < ord("+") or codes.max() > ord("9"))


def _whole(text: str) -> str | None:
    """The number that an abbreviated one stands for: 1200000 for `1.2M`."""
    match = _ABBREVIATED.fullmatch(text)
    return None if match is None else format(Decimal(match[1]).scaleb(_TIMES[match[2].lower()]), "f")


def _scaled(form: FileForm, column: Column, values: pa.Array) -> pa.Array:
    """Prices from integers that are `form.scale` times as large; what is no number stays."""
    if form.scale == 1 or column.name not in _PRICES:
        return values
    if column.type == "float":
        try:
            return pc.divide(values.cast(pa.float64()), float(form.scale))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    if not pa.types.is_string(values.type):
        values = pa.array([None if value is None else plain(value) for value in values.to_pylist()], pa.string())
    return _each(values, lambda text: format(Decimal(text) / form.scale, "f") if _COUNT.fullmatch(text) else None)


def _moments(form: FileForm, values: pa.Array) -> pa.Array:
    """Times of any type: µs UTC where that loses nothing, else text."""
    kind = values.type
    if pa.types.is_binary(kind):
        values = _text(values)
    elif not pa.types.is_string(kind) and not pa.types.is_timestamp(kind):
        # A day has no zone, and a number has no unit: as text the codec rejects both, and its reason shows the value.
        values = pa.array([None if value is None else plain(value) for value in values.to_pylist()], pa.string())
    if pa.types.is_string(values.type) and form.time_format is not None:
        values = _each(values, lambda text: _as_text(_parsed(text, form.time_format or "")))
    if pa.types.is_string(values.type) and form.epoch is not None:
        values = _counts(values, form.epoch, form.day)
    if form.zone is not None:
        values = _in_zone(values, form.zone)
    if form.ends:
        values = _starts(values)
    return _utc(values) if pa.types.is_timestamp(values.type) else values


def _starts(values: pa.Array) -> pa.Array:
    """Starts of minutes from their ends; texts that are no time with a zone stay."""
    try:
        moments = values if pa.types.is_timestamp(values.type) else values.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return _each(values, _start)
    lengths = pa.scalar(timedelta(minutes=1), pa.duration(moments.type.unit))
    return pc.subtract(pc.ceil_temporal(moments, unit="minute"), lengths)


def _start(text: str) -> str | None:
    try:
        return (ceil(moment(text), timedelta(minutes=1)) - timedelta(minutes=1)).isoformat()
    except BadTime:
        return None


def _since(values: pa.Array, unit: str, day: date) -> pa.Array:
    """Counts since the midnight of a day as local times; texts that are no count within it stay."""
    midnight, length = (day - date(1970, 1, 1)).days * 86_400 * _SECOND[unit], 86_400 * _SECOND[unit]

    def local(text: str) -> str | None:
        if not _COUNT.fullmatch(text) or not 0 <= (count := Decimal(text)) < length or count != int(count):
            return None
        return str(pa.scalar(midnight + int(count), pa.timestamp(unit)).cast(pa.timestamp("us")).as_py().isoformat())

    return _each(values, local)


def _counts(values: pa.Array, unit: str, day: str | None) -> pa.Array:
    """Numbers since 1970 as times; texts that are no number, and numbers that only fit another unit, stay."""
    if day is not None:
        return _since(values, unit, date.fromisoformat(day))
    if unit == EXCEL:
        return _each(values, _of_spreadsheet)
    try:
        counts = values.cast(pa.int64())
    except pa.ArrowInvalid:
        counts = None
    if counts is not None and _all_within(counts, _SECOND[unit]):
        return counts.cast(pa.timestamp(unit, "UTC"))
    return _each(values, lambda text: _moment(text, unit) if _unit_of(text) in (None, unit) else None)


def _moment(text: str, unit: str) -> str | None:
    if not _COUNT.fullmatch(text):
        return None
    nanoseconds = Decimal(text) * 10**9 / _SECOND[unit]
    if nanoseconds != int(nanoseconds):
        return None
    seconds, rest = divmod(int(nanoseconds), 10**9)
    try:
        second = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return f"{second:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def _of_spreadsheet(text: str) -> str | None:
    time = spreadsheet_time(Decimal(text)) if _COUNT.fullmatch(text) else None
    return None if time is None else time.isoformat()


def _in_zone(values: pa.Array, zone: str) -> pa.Array:
    """Times without a zone as those of `zone`; a time that its clocks show twice or never gets the zone's name, and is rejected."""
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        return values
    try:
        naive = values if pa.types.is_timestamp(values.type) else values.cast(pa.timestamp("us"))
        return pc.assume_timezone(naive, zone)
    except pa.ArrowInvalid:
        return _each(values.cast(pa.string()), lambda text: _with_zone(text, ZoneInfo(zone)))


def _with_zone(text: str, zone: ZoneInfo) -> str | None:
    try:
        naive = datetime.fromisoformat(text)
    except ValueError:
        return None
    if naive.tzinfo is not None or re.search(r"\.\d{7}", text):
        return None
    offsets = {naive.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    return naive.replace(tzinfo=zone).isoformat() if len(offsets) == 1 else f"{text}[{zone.key}]"


def _all_within(counts: pa.Array, second: int) -> bool:
    """Whether all counts are moments of the years 1973 to 2199."""
    ends = pc.min_max(counts).as_py()
    return ends["min"] is not None and _FIRST * second <= ends["min"] and ends["max"] < _LAST * second


def _utc(values: pa.Array) -> pa.Array:
    kind = values.type
    latest = pc.max(values.cast(pa.int64())).as_py()
    if kind.tz is None or (latest is not None and latest >= _BEYOND * _SECOND[kind.unit]):
        return values.cast(pa.string())
    try:
        return values.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:  # finer than a microsecond, or outside the years that fit
        return values.cast(pa.timestamp(kind.unit, "UTC")).cast(pa.string())


def _each(values: pa.Array, convert: Callable[[str], str | None]) -> pa.Array:
    """Every text converted, equal texts once; a text that cannot be converted stays."""
    coded = values.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    converted = [text if (new := convert(text)) is None else new for text in texts]
    return pa.array(converted, pa.string()).take(coded.indices)


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the option --zone names the zone
    except ValueError:
        return None


def _as_text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
