"""The check at the door: what a producer hands over for a journal, as text fields, or an error before anything is written.

Belongs here: the rules of the datasets, record by record. Does not: whole columns (`datasets.codec`), and the records that
have no journal (`live.shapes`).
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from trading_data.datasets.codec import CONTROL, LARGEST, TEXT_BYTES, plain
from trading_data.datasets.declaration import Column, Dataset
from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.errors import BadInput
from trading_data.times import utc

_CONTROL = re.compile(CONTROL)
_GETTERS = {kind: attrgetter(*(field.name for field in fields(kind))) for kind in (Bar, Fill, Measurement)}
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Bar, Fill, Measurement)}


def checked_records(dataset: Dataset, records: Iterable[object]) -> list[dict[str, str]]:
    """The text fields of records, in order; the rules are those of `checked_fields`, whose errors are raised.

    Most records are whole and of plain values, which a glance tells; those that are not are looked at field by field.
    """
    glances, names = [_glance(column) for column in dataset.columns], dataset.names
    getters: dict[type, attrgetter[tuple[object, ...]]] = {
        kind: getter for kind, getter in _GETTERS.items() if _NAMES[kind] == names
    }
    checked = []
    for at, record in enumerate(records):
        getter = getters.get(type(record))
        texts = [] if getter is None else [glance(value) for glance, value in zip(glances, getter(record), strict=True)]
        out = dict(zip(names, texts, strict=False))
        good = bool(texts) and all(texts)
        for low, high in dataset.ordered if good else ():
            good = good and float(out[low]) <= float(out[high])
        checked.append(out if good else checked_fields(dataset, record, at))
    return checked


def checked_fields(dataset: Dataset, record: object, at: int) -> dict[str, str]:
    """The text fields of one record, checked by the dataset's rules."""
    kind = type(record)
    if kind in _GETTERS:
        values: Mapping[str, object] = dict(zip(_NAMES[kind], _GETTERS[kind](record), strict=True))
    elif isinstance(record, Mapping):
        values = record
    else:
        raise BadInput(f"{dataset.title}[{at}] is a {kind.__name__}; give a record class of trading_data or a mapping")
    if values.keys() != dataset.column.keys():
        missing, unknown = dataset.column.keys() - values.keys(), values.keys() - dataset.column.keys()
        raise BadInput(
            f"{dataset.title}[{at}]: missing {sorted(missing)}, unknown {sorted(unknown)}; nothing was written"
        )
    out = {column.name: _field(column, values[column.name], f"{dataset.title}[{at}]") for column in dataset.columns}
    for low, high in dataset.ordered:
        if float(out[low]) > float(out[high]):
            raise BadInput(f"{dataset.title}[{at}]: {low} {out[low]} is above {high} {out[high]}; nothing was written")
    return out


def _glance(column: Column) -> Callable[[Any], str]:
    """What tells the text of a value that is certainly good; of any other one, good or not, an empty text."""

    def time(value: Any) -> str:
        return value.isoformat() if type(value) is datetime and value.tzinfo is UTC else ""

    def text(value: Any) -> str:
        plainly = type(value) is str and value.isascii() and value.isprintable() and len(value) <= TEXT_BYTES
        return value if plainly and value.strip() and (not column.choices or value in column.choices) else ""

    least = -LARGEST if column.least is None else max(column.least, -LARGEST)

    def number(value: Any) -> str:
        said = repr(value) if type(value) is float and least <= value <= LARGEST else "e"
        return "" if "e" in said or column.above is not None else said

    def exact(_: Any) -> str:
        return ""

    return {"time": time, "text": text, "float": number, "decimal": exact}[column.type]


def _field(column: Column, value: object, where: str) -> str:
    name = f"{where}.{column.name}"
    if column.type == "time":
        if not isinstance(value, datetime | str):
            raise BadInput(f"{name} must be an aware datetime, not {value!r}; nothing was written")
        return utc(value, name).isoformat()
    if column.type == "text":
        return _text(column, value, name)
    text = plain(value)
    try:
        number = float(text) if column.type == "float" else Decimal(text)
    except (ValueError, ArithmeticError):
        raise BadInput(f"{name} must be a number, not {value!r}; nothing was written") from None
    if not math.isfinite(number) or abs(float(number)) > LARGEST:
        raise BadInput(f"{name} must be finite and within {LARGEST:g}, not {value!r}; nothing was written")
    if (column.least is not None and number < column.least) or (column.above is not None and number <= column.above):
        raise BadInput(f"{name} {text} is too small; nothing was written")
    return text


def _text(column: Column, value: object, name: str) -> str:
    """What the archive would not hold is refused here, where its producer hears of it."""
    if not isinstance(value, str) or (column.name_like and not value.strip()):
        raise BadInput(f"{name} must be a text that is not empty, not {value!r:.60}; nothing was written")
    if column.choices and value not in column.choices:
        raise BadInput(f"{name} must be one of {', '.join(column.choices)}, not {value!r:.60}; nothing was written")
    if not value.isprintable() and (_CONTROL.search(value) if column.name_like else "\0" in value):
        raise BadInput(f"{name} {value!r:.60} has control characters in it; nothing was written")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise BadInput(f"{name} {value!r:.60} has half of a surrogate pair in it; nothing was written") from None
    if size > TEXT_BYTES:
        raise BadInput(f"{name} has {size:,} bytes; at most {TEXT_BYTES:,} are kept; nothing was written")
    return value
