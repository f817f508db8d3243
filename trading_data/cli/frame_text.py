"""A frame as text for people: what is shown is what is stored.

Belongs here: `frame_text`, by which every command prints a frame. Does not: tables of other things, and files.
"""

import math
from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from rich.cells import cell_len

from trading_data.datasets.codec import plain
from trading_data.printable import printable


def frame_text(frame: pd.DataFrame) -> str:
    """Every row and column of a frame without its index: a line of names, then a line a row.

    A number is the shortest decimal that reads back as the same value, without exponent and never rounded; the points of a column
    stand below one another. Times are ISO 8601 with a blank between day and time. A missing value is `None`, `NaN` or `NaT`.
    Texts come from anybody, so control characters are escaped.
    """
    columns = [_column(str(name), frame[name].tolist()) for name in frame]
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))


def _column(name: str, values: Sequence[object]) -> list[str]:
    """The name and the cells of a column, all of one width."""
    numbers = any(_is_number(value) for value in values)
    cells = list(map(_cell, values))
    if numbers:
        behind = [len(text) - text.find(".") if "." in text else 0 for text in cells]
        most = max(behind)
        cells = [text + " " * (most - length) for text, length in zip(cells, behind, strict=True)]
    texts = [printable(name), *cells]
    widths = [len(text) if text.isascii() else cell_len(text) for text in texts]
    most = max(widths)
    pads = [" " * (most - width) for width in widths]
    return [pad + text if numbers else text + pad for text, pad in zip(texts, pads, strict=True)]


def _is_number(value: object) -> bool:
    return not isinstance(value, str | bool | datetime) and value is not None and value is not pd.NaT


def _cell(value: object) -> str:
    if value is None or value is pd.NaT:
        return str(value)
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else plain(value).removesuffix(".0")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return printable(plain(value))
