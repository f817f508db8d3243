"""Alpaca's bars as tables, the same for answers of its history and messages of its stream."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from trading_data.datasets import PRICE
from trading_data.datasets.codec import schema
from trading_data.errors import VendorError

_NUMBERS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


def is_symbol(text: str) -> bool:
    """Whether `text` can be a symbol at Alpaca: it is part of URLs, in lists with commas."""
    return text.isascii() and text.isprintable() and not set(text) & set(" ,*") and bool(text)


def bars_table(bars: Sequence[tuple[str, Mapping[str, Any]]], source: str) -> pa.Table:
    """Bars in Alpaca's JSON, each with its symbol, as a table with `codec.schema(PRICE)`: its numbers as doubles.

    A value that is missing or null is null; the start of the bar is UTC, whole microseconds.

    Raises:
        VendorError: a value is of a type that no bar has.
    """
    columns: dict[str, pa.Array] = {}
    kinds = schema(PRICE)
    try:
        columns["symbol"] = pa.array([symbol for symbol, _ in bars], pa.string())
        columns["timestamp"] = pa.array([bar.get("t") for _, bar in bars], pa.string()).cast(
            kinds.field("timestamp").type
        )
        for name, letter in _NUMBERS.items():
            columns[name] = pa.array([bar.get(letter) for _, bar in bars], pa.float64())
    except (pa.ArrowException, AttributeError, OverflowError) as error:
        raise VendorError(
            f"Alpaca sent bars that cannot be read ({error}): check whether the address is that of Alpaca's data API"
        ) from error
    columns["source"] = pa.array([source] * len(bars), pa.string())
    return pa.Table.from_arrays([columns[name] for name in PRICE.names], schema=kinds)
