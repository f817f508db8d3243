"""Validation of records before they are journalled: their text fields, or an error before anything is written.

Belongs here: the shape of records, row by row and by columns. Does not: types and forms of values (`datasets.codec`), which
values are legal (`datasets.rules`), and records without a journal (`live.hash_codec`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter, itemgetter, le
from typing import Any

from trading_data.datasets import codec, rules
from trading_data.datasets.declaration import Column, Dataset
from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.datasets.rules import Reason, Span
from trading_data.errors import BadInput

_GETTERS = {kind: attrgetter(*(field.name for field in fields(kind))) for kind in (Bar, Fill, Measurement)}
_ROWS_OF_FRAMES = {"to_dicts": ".to_dicts()", "to_pylist": ".to_pylist()", "to_dict": '.to_dict("records")'}
"""Methods of Polars, Arrow and pandas frames, and the call that returns the rows of each."""
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Bar, Fill, Measurement)}


def checked_records(dataset: Dataset, records: Iterable[object], span: Span) -> list[dict[str, str]]:
    """The text fields of records, in order; rules and errors are those of `checked_fields`.

    Most batches hold one class of record with plain values: these are checked column by column, all others record by record.
    """
    advice = _not_a_list(records)
    if advice is not None:
        raise BadInput(
            f"{dataset.title} must be a list of records, not a {type(records).__name__}: {advice}; nothing was written"
        )
    batch = list(records)
    values = _columns(dataset, batch)
    texts = (
        [_glance(column, value, span) for column, value in zip(dataset.columns, values, strict=True)] if values else []
    )
    if not texts or not all(texts) or not _in_order(dataset, values):
        return [checked_fields(dataset, record, at, span) for at, record in enumerate(batch)]
    names = dataset.names
    return [dict(zip(names, row, strict=True)) for row in zip(*texts, strict=True)]


def checked_fields(dataset: Dataset, record: object, at: int, span: Span) -> dict[str, str]:
    """The text fields of record number `at`. It passes if and only if the load would accept it at the same moment.

    Raises:
        BadInput: it is not a record of the dataset, or a value is not legal; the message names record, field, value and
            correction.
    """
    where = f"{dataset.title}[{at}]"
    values = _values(dataset, record, where)
    typed = {column.name: _typed(column, values[column.name], span, where) for column in dataset.columns}
    for low, high in dataset.ordered:
        _refuse(rules.order_fault(low, high, (typed[low], typed[high])), where)
    return {name: codec.plain(value) for name, value in typed.items()}


def _not_a_list(records: object) -> str | None:
    """What to pass instead of something that is not a list of records; None for a list or another iterable of records.

    A pandas frame is iterable, too, but over the names of its columns.
    """
    if hasattr(records, "columns"):
        for method, call in _ROWS_OF_FRAMES.items():
            if hasattr(records, method):
                return f"pass its rows as mappings, with {call}"
    if isinstance(records, Mapping | str | bytes) or type(records) in _GETTERS or not isinstance(records, Iterable):
        return "wrap it in a list"
    return None


def _values(dataset: Dataset, record: object, where: str) -> Mapping[str, object]:
    """The values by column, for exactly the dataset's columns."""
    kind = type(record)
    if kind in _GETTERS:
        values: Mapping[str, object] = dict(zip(_NAMES[kind], _GETTERS[kind](record), strict=True))
    elif isinstance(record, Mapping):
        values = record
    else:
        raise BadInput(
            f"{where} is a {kind.__name__}: pass a record class of trading_data or a mapping; nothing was written"
        )
    if values.keys() != dataset.column.keys():
        missing = sorted(dataset.column.keys() - values.keys())
        unknown = sorted(map(rules.shown, values.keys() - dataset.column.keys()))
        raise BadInput(
            f"{where}: missing {missing}, unknown [{', '.join(unknown)}]: pass exactly {', '.join(dataset.names)}; "
            "nothing was written"
        )
    return values


def _typed(column: Column, value: object, span: Span, where: str) -> Any:
    """A legal value in the form of its column."""
    typed = codec.typed(column, value)
    _refuse(typed if isinstance(typed, Reason) else rules.fault(column, typed, span), where)
    return typed


def _refuse(reason: Reason | None, where: str) -> None:
    if reason is not None:
        raise BadInput(f"{where}.{reason.text}; nothing was written")


def _columns(dataset: Dataset, records: list[Any]) -> list[tuple[Any, ...]]:
    """The records' values by column; empty unless all records are of one class and have exactly the columns."""
    names, kinds = dataset.names, set(map(type, records))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind in _GETTERS and _NAMES[kind] == names:
        rows = map(_GETTERS[kind], records)
    elif kind is dict and all(record.keys() == dataset.column.keys() for record in records):
        rows = map(itemgetter(*names), records)
    else:
        return []
    return list(zip(*rows, strict=True))


def _glance(column: Column, values: tuple[Any, ...], span: Span) -> list[str]:
    """The texts of a column whose values are all certainly legal; empty as soon as one of them needs a closer look."""
    kinds = set(map(type, values))
    if column.type == "time":
        plainly = kinds == {datetime} and all(value.tzinfo is UTC for value in values)
        return (
            list(map(datetime.isoformat, values)) if plainly and rules.times_are_good(column.name, values, span) else []
        )
    if column.type == "text":
        return list(values) if kinds == {str} and rules.texts_are_good(column, set(values)) else []
    if column.type == "decimal":
        return _exact_texts(column, values, span) if kinds == {Decimal} else []
    if column.type != "float" or not kinds <= {float, int}:
        return []
    try:
        numbers = values if kinds == {float} else tuple(map(float, values))
    except OverflowError:
        return []
    if not rules.floats_are_good(column, numbers):
        return []
    texts = list(map(repr, numbers))
    return texts if "e" not in "".join(texts) else list(map(codec.plain, numbers))


def _exact_texts(column: Column, values: tuple[Decimal, ...], span: Span) -> list[str]:
    if not all(map(Decimal.is_finite, values)):
        return []
    texts = {value: codec.typed(column, value) for value in set(values)}
    good = all(isinstance(text, str) and rules.fault(column, text, span) is None for text in texts.values())
    return list(map(texts.__getitem__, values)) if good else []


def _in_order(dataset: Dataset, values: list[tuple[Any, ...]]) -> bool:
    places = [(dataset.names.index(low), dataset.names.index(high)) for low, high in dataset.ordered]
    return all(all(map(le, values[low], values[high])) for low, high in places)
