"""The types of a record's fields: conversion to the text of a hash field and back, and a description for messages."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from trading_data.datasets.codec import canonical_decimal, plain
from trading_data.datasets.rules import DIGITS, SCALE
from trading_data.errors import BadInput
from trading_data.live.journal import raw
from trading_data.times import utc

_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class FieldType:
    """A type of field: how it is written and read, and in `wanted` its description for messages."""

    wanted: str
    write: Callable[[Any], str]
    """Raises ValueError, TypeError, ArithmeticError or BadInput for values that are not legal."""
    decode: Callable[[str], Any]
    optional: bool = False

    def encode(self, value: Any, where: str) -> str:
        """The text of a value. Raises BadInput."""
        try:
            return self.write(value)
        except (ValueError, TypeError, ArithmeticError, AttributeError, BadInput):
            raise BadInput(f"{where} must be {self.wanted}, not {value!r:.60}; nothing was written") from None


def kind_of(hint: Any, least: int | None) -> FieldType:
    """The type of an annotated field; `least` is the smallest number allowed."""
    if get_origin(hint) is Literal:
        return _choice(get_args(hint))
    parts = [part for part in get_args(hint) if part is not NoneType] if isinstance(hint, UnionType) else [hint]
    kind = _KINDS[parts[0]]
    if isinstance(hint, UnionType):
        kind = FieldType(kind.wanted, kind.write, kind.decode, optional=True)
    return kind if least is None else _at_least(kind, least)


def _choice(choices: tuple[str, ...]) -> FieldType:
    def chosen(value: str) -> str:
        if value not in choices:
            raise ValueError(value)
        return value

    return FieldType(f"one of {', '.join(choices)}", chosen, chosen)


def _at_least(kind: FieldType, least: int) -> FieldType:
    def decode(value: str) -> Any:
        number = kind.decode(value)
        if number < least:
            raise ValueError(value)
        return number

    def write(value: Any) -> str:
        out = kind.write(value)
        decode(out)
        return out

    return FieldType(f"{kind.wanted}, at least {least}", write, decode, kind.optional)


def _write_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    raw(value)  # raises for half of a surrogate pair
    return value


def _write_name(value: Any) -> str:
    if not _write_text(value).strip():
        raise ValueError
    return str(value)


def _write_float(value: Any) -> str:
    if isinstance(value, str | bytes | bool) or not math.isfinite(number := float(value)):
        raise ValueError
    return plain(number)


def plain_number(value: str) -> float:
    """A finite number in plain decimal. Raises ValueError."""
    if not value.isascii() or "_" in value or value != value.strip() or not math.isfinite(number := float(value)):
        raise ValueError(value)
    return number


def _write_decimal(value: Any) -> str:
    if isinstance(value, str | bytes | bool):
        raise TypeError
    number = value if isinstance(value, Decimal) else Decimal(plain(value))
    if not number.is_finite() or abs(number.adjusted()) >= DIGITS:
        raise ValueError
    out = plain(number)
    _decimal(out)
    return out


def _decimal(value: str) -> Decimal:
    """An exact number within the digits of the archive's columns."""
    canonical = canonical_decimal(value)
    integer, _, fraction = (canonical or "").lstrip("-").partition(".")
    if not integer or len(integer) > DIGITS - SCALE or len(fraction) > SCALE:
        raise ValueError(value)
    return Decimal(value)


def _write_integer(value: Any) -> str:
    if isinstance(value, str | bytes | bool) or int(value) != value:
        raise ValueError
    out = str(int(value))
    _integer(out)
    return out


def _integer(value: str) -> int:
    canonical = canonical_decimal(value)
    if canonical is None or "." in canonical or abs(number := int(canonical)) > _LARGEST_INTEGER:
        raise ValueError(value)
    return number


def _write_time(value: Any) -> str:
    if not isinstance(value, datetime):
        raise TypeError
    return utc(value).isoformat()


def _time(value: str) -> datetime:
    return utc(value).astimezone(UTC)


FLOAT = FieldType("a finite number in plain decimal", _write_float, plain_number)
TEXT = FieldType("a string", _write_text, str)
NAME = FieldType("a non-empty string", _write_name, str)
_KINDS: Mapping[type, FieldType] = {
    str: TEXT,
    float: FLOAT,
    int: FieldType("a whole number", _write_integer, _integer),
    Decimal: FieldType(
        f"a number in plain decimal of at most {DIGITS - SCALE} digits before and {SCALE} after the point",
        _write_decimal,
        _decimal,
    ),
    datetime: FieldType("an ISO 8601 time with a zone", _write_time, _time),
}
