"""Data frames with declared columns: the same types with and without rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

TEXT, TIME, COUNT, NUMBER, AMOUNT = "str", "datetime64[us, UTC]", "int64", "Int64", "object"
"""Types of columns. NUMBER is a whole number that may be missing, AMOUNT a `decimal.Decimal` or None."""


def frame(rows: Sequence[Sequence[Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """A frame with these columns and types; each row has its values in the order of the columns."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame(
        {name: pd.Series(list(value), dtype=kind) for (name, kind), value in zip(columns.items(), values, strict=True)}
    )
