"""Time: aware and UTC everywhere. A day is a UTC day, a partition and a chunk.

Belongs here: validating times, and day arithmetic. Does not: schedules and calendars.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from numbers import Number
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trading_data.errors import BadTime

DAY = timedelta(days=1)
EpochUnit = Literal["s", "ms", "us", "ns"]
EPOCH = "epoch"
"""The `kind` of a BadTime for a number."""
EPOCH_UNITS: dict[EpochUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Units of counts since 1970, and their number in a second."""

_EPOCH_YEARS = (1973, 2200)
"""The years within which a number is read as a count since 1970: the counts of two units never overlap in them."""
_SPREADSHEET = datetime(1899, 12, 30)  # noqa: DTZ001 - spreadsheets know no zone
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_BASIC_DAY = re.compile(r"\d{8}", re.ASCII)
_FINER = re.compile(r"([.,]\d{6})(\d+)", re.ASCII)
_WITH_ZONE_NAME = re.compile(r"(.{10,40}?)\[([^\]]{1,60})\]")
"""A local time and the name of its zone, as in RFC 9557."""
_SHOWN = 60


def now() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


def moment(value: object, what: str = "time") -> datetime:
    """`value` as a `datetime` in UTC, exact to the microsecond. Every time that enters the system is validated here.

    Accepts an aware datetime (a pandas Timestamp is one) and an ISO 8601 string with a zone. Digits after the microsecond must
    be zeros: nothing is rounded or cut off.

    Raises:
        BadTime: it is a day, has no zone, is missing (None, NaT), is finer than a microsecond, is a number, lies outside the
            years 1 to 9999 in UTC, or is not a time at all. The message says how to write it.
    """
    if type(value).__name__ == "datetime64":
        value = _of_datetime64(value, what)
    if isinstance(value, str):
        return _in_utc(_of_text(value, what), what)
    if value is None or (isinstance(value, datetime | float) and value != value):  # NaT and NaN
        raise BadTime("missing field", f"{what} is missing ({value}): write a time such as {_EXAMPLE}")
    if isinstance(value, datetime):
        return _in_utc(value, what)
    if isinstance(value, date):
        raise _day_alone(value.isoformat(), what)
    if isinstance(value, Number) and not _is_bool(value):
        raise _count(f"{value:#x}" if isinstance(value, int) and value.bit_length() > 256 else str(value), what)
    raise BadTime(
        "not a time",
        f"{what} {_show(value)} is neither an aware datetime nor ISO 8601 with a zone: write it as {_EXAMPLE}",
    )


def utc(value: object, what: str = "time") -> datetime:
    """A bound of a range as a `datetime` in UTC: a `moment`, or midnight UTC of a day (a `date`, or `2026-01-31`).

    Raises:
        BadTime: as `moment`, except for days.
    """
    day = _day(value)
    return moment(value, what) if day is None else day_start(day)


def epoch_unit(count: float | Decimal) -> EpochUnit | None:
    """The unit in which `count` since 1970 falls into the years 1973 to 2199; None if there is none."""
    first, last = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in _EPOCH_YEARS)
    return next((unit for unit, parts in EPOCH_UNITS.items() if first <= count / parts < last), None)


def spreadsheet_time(count: float | Decimal) -> datetime | None:
    """The local time that a spreadsheet shows for `count` days since 1899-12-30, to the millisecond; no zone.

    None outside the years 1973 to 2199; no count since 1970 of these years is that small.
    """
    first, last = (datetime(year, 1, 1) - _SPREADSHEET for year in _EPOCH_YEARS)  # noqa: DTZ001
    if not first.days <= count < last.days:
        return None
    return _SPREADSHEET + timedelta(milliseconds=round(count * 86_400_000))


def day_start(day: date) -> datetime:
    """Midnight UTC at which `day` begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def floor(moment: datetime, width: timedelta) -> datetime:
    """The start of the bucket of `width` that holds `moment`; buckets are aligned to midnight UTC."""
    midnight = day_start(moment.date())
    return midnight + (moment - midnight) // width * width


def ceil(moment: datetime, width: timedelta) -> datetime:
    """The end of the last bucket of `width` that begins before `moment`."""
    lower = floor(moment, width)
    return lower if lower == moment else lower + width


_EXAMPLE = "2026-01-31T14:30:00Z"


def _of_datetime64(value: object, what: str) -> date | None:
    """A `numpy.datetime64` as a day, or None for NaT; one with a time of day has no zone."""
    day = value.item()  # type: ignore[attr-defined]
    if str(value) == "NaT":
        return None
    if isinstance(day, date) and not isinstance(day, datetime):
        return day
    raise BadTime(
        "no zone", f"{what} {value} is a numpy.datetime64, which has no time zone: write {value}Z for UTC, as text"
    )


def _day(value: object) -> date | None:
    """The day of a value without a time of day; None for any other value."""
    if type(value).__name__ == "datetime64":
        value = str(value)  # as a datetime64, a month or a year would become its first day
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, date) and not isinstance(value, datetime) else None


def _of_text(text: str, what: str) -> datetime:
    if _NUMBER.fullmatch(text) and not _BASIC_DAY.fullmatch(text):
        raise _count(text, what)
    if match := _WITH_ZONE_NAME.fullmatch(text):
        raise _by_zone_name(match, what)
    if any(set(rest) != {"0"} for _, rest in _FINER.findall(text)):
        raise _too_fine(text, what)
    try:  # Python silently cuts off digits after the microsecond; here they are zeros
        parsed = datetime.fromisoformat(_FINER.sub(r"\1", text))
    except ValueError:
        raise BadTime(
            "not a time", f"{what} {_show(text)} is not an ISO 8601 time with a zone: write it as {_EXAMPLE}"
        ) from None
    if parsed.tzinfo is None and _day(text) is not None:
        raise _day_alone(text, what)
    return parsed


def _in_utc(value: datetime, what: str) -> datetime:
    if getattr(value, "nanosecond", 0):
        raise _too_fine(value.isoformat(), what)
    try:
        if value.utcoffset() is None:
            shown = value.replace(tzinfo=None).isoformat()
            raise BadTime("no zone", f"{what} {shown} has no time zone: write {shown}Z for UTC")
        if type(value) is not datetime:  # a subclass such as Timestamp formats differently
            value = datetime.fromisoformat(value.isoformat())
        return value.astimezone(UTC)
    except (OverflowError, ValueError):
        raise BadTime(
            "out of range", f"{what} {value.isoformat()} is outside the years 1 to 9999 in UTC: correct it"
        ) from None


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _day_alone(text: str, what: str) -> BadTime:
    return BadTime(
        "no zone",
        f"{what} {text} is a day without a time and a zone: write {text}T00:00:00Z for its midnight in UTC",
    )


def _by_zone_name(match: re.Match[str], what: str) -> BadTime:
    """A local time is unambiguous only with its offset: clocks repeat an hour, and skip one."""
    text, zone = match.groups()
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=None)
        moments = [local.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
        offsets = sorted({moment.isoformat() for moment in moments})
    except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError):
        return BadTime(
            "not a time", f"{what} {_show(match[0])} is not an ISO 8601 time with a zone: write it as {_EXAMPLE}"
        )
    times = "is a local time"
    if len(offsets) > 1:
        back = moments[0].astimezone(UTC).astimezone(moments[0].tzinfo).replace(tzinfo=None)
        times = "occurred twice in the local time" if back == local else "was skipped in the local time"
    return BadTime("local time", f"{what} {text} {times} of {zone}: write it with its offset, {' or '.join(offsets)}")


def _too_fine(text: str, what: str) -> BadTime:
    return BadTime(
        "too fine",
        f"{what} {_show(text)} is finer than a microsecond, which the archive cannot hold: "
        "round it to six decimal places",
    )


def _count(text: str, what: str) -> BadTime:
    """A number shows neither its unit nor its origin; where one reading makes sense, the message suggests it."""
    try:
        unit = epoch_unit(count := Decimal(text))
    except ArithmeticError:  # a complex number, for instance
        unit = None
    if unit is None and (local := _of_spreadsheet(text)) is not None:
        return BadTime(
            EPOCH,
            f"{what} {text} is a number, not a time: if it comes from a spreadsheet, it is {local.isoformat()} in local time; "
            f"if that is UTC, write {local.isoformat()}Z; `trading-data import … --epoch excel` reads a file of such numbers",
        )
    if unit is None:
        return BadTime(EPOCH, f"{what} {text:.{_SHOWN}} is a number, not a time: write ISO 8601, such as {_EXAMPLE}")
    micros = int(count * 1_000_000 / EPOCH_UNITS[unit])
    shown = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()
    return BadTime(
        EPOCH,
        f"{what} {text} is a number, not a time: if it counts {unit} since 1970, write {shown}; "
        f"`trading-data import … --epoch {unit}` reads a file of such numbers",
    )


def _of_spreadsheet(text: str) -> datetime | None:
    try:
        return spreadsheet_time(Decimal(text))
    except ArithmeticError:
        return None


def _show(value: object) -> str:
    return f"{value!r:.{_SHOWN}}"
