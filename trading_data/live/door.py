"""The check at the door: what a producer hands over for a journal, as text fields, or an error before anything is written.

Belongs here: the rules of the datasets, record by record. Does not: whole columns (`datasets.codec`), and the records that
have no journal (`live.shapes`).
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from trading_data.datasets.codec import LARGEST, plain
from trading_data.datasets.declaration import Column, Dataset
from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.errors import BadInput
from trading_data.times import utc

_GETTERS = {kind: attrgetter(*(field.name for field in fields(kind))) for kind in (Bar, Fill, Measurement)}
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Bar, Fill, Measurement)}


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


def _field(column: Column, value: object, where: str) -> str:
    name = f"{where}.{column.name}"
    if column.type == "time":
        if not isinstance(value, datetime | str):
            raise BadInput(f"{name} must be an aware datetime, not {value!r}; nothing was written")
        return utc(value, name).isoformat()
    if column.type == "text":
        if not isinstance(value, str) or (column.name_like and not value.strip()):
            raise BadInput(f"{name} must be a text that is not empty, not {value!r}; nothing was written")
        if column.choices and value not in column.choices:
            raise BadInput(f"{name} must be one of {', '.join(column.choices)}, not {value!r}; nothing was written")
        return value
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
