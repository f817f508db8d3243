"""The check at the door: what a producer hands over for a journal, as text fields, or an error before anything is written.

Belongs here: the rules of the datasets, record by record. Does not: whole columns (`datasets.codec`), and the records that
have no journal (`live.shapes`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from operator import attrgetter, itemgetter, le
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

    Most batches are of one kind of record and of plain values, which a glance at each column tells; others are looked at
    record by record.
    """
    batch = list(records)
    values = _columns(dataset, batch)
    texts = [_glance(column, one) for column, one in zip(dataset.columns, values, strict=True)] if values else []
    if not texts or not all(texts) or not _in_order(dataset, values):
        return [checked_fields(dataset, record, at) for at, record in enumerate(batch)]
    names = dataset.names
    return [dict(zip(names, row, strict=True)) for row in zip(*texts, strict=True)]


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


def _columns(dataset: Dataset, records: list[Any]) -> list[tuple[Any, ...]]:
    """The records' values by column, if all records are of one kind and whole; else nothing."""
    names, kinds = dataset.names, set(map(type, records))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind in _GETTERS and _NAMES[kind] == names:
        rows = map(_GETTERS[kind], records)
    elif kind is dict and all(one.keys() == dataset.column.keys() for one in records):
        rows = map(itemgetter(*names), records)
    else:
        return []
    return list(zip(*rows, strict=True))


def _glance(column: Column, values: tuple[Any, ...]) -> list[str]:
    """The texts of values that are certainly good, all of them; where one is not, good or bad, nothing."""
    kinds = set(map(type, values))
    if column.type == "time":
        plainly = kinds == {datetime} and all(value.tzinfo is UTC for value in values)
        return [value.isoformat() for value in values] if plainly else []
    if column.type == "text":
        return list(values) if kinds == {str} and all(_plain_text(column, text) for text in set(values)) else []
    if column.type != "float" or column.above is not None or not kinds <= {float, int}:
        return []
    least = -LARGEST if column.least is None else max(column.least, -LARGEST)
    plainly = least <= min(values) and max(values) <= LARGEST and all(map(isfinite, values))
    texts = list(map(repr, values)) if plainly else []
    return [] if "e" in "".join(texts) else texts


def _plain_text(column: Column, text: str) -> bool:
    plainly = text.isascii() and text.isprintable() and len(text) <= TEXT_BYTES
    return plainly and bool(text.strip()) and (not column.choices or text in column.choices)


def _in_order(dataset: Dataset, values: list[tuple[Any, ...]]) -> bool:
    places = [(dataset.names.index(low), dataset.names.index(high)) for low, high in dataset.ordered]
    return all(all(map(le, values[low], values[high])) for low, high in places)


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
    if not isfinite(number) or abs(float(number)) > LARGEST:
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
