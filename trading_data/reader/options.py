"""How to read: the keywords of `MarketData.prices`, `trades`, `metrics`, `read` and `stream`, and their types.

Belongs here: names, types and meaning. Does not: what follows from them (`question`, `frames`).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Required, TypeAlias, TypedDict

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

Times: TypeAlias = datetime | str
"""An aware datetime, an ISO 8601 text with a zone, or a bare day (its midnight UTC)."""
About: TypeAlias = str | Iterable[str] | None
"""One symbol (or metric), some, or None for all."""
Format: TypeAlias = Literal["pandas", "arrow"]
FORMATS = ("pandas", "arrow")
Frame: TypeAlias = "pd.DataFrame | pa.Table"
"""A data frame, or with `format="arrow"` an Arrow table."""


class Options(TypedDict, total=False):
    """Keywords for any format.

    Attributes:
        as_of: only what the archive knew at that moment, so that a backtest cannot look ahead: for each key the version
            that was archived then, nothing live, and intervals made from those rows.
        partial: answer with what can be read when a tier is away or a batch in the intake is damaged, and say in `missing`
            what is not in it. With `as_of` the archive cannot be done without.
        session: only rows whose time lies in a regular session of that exchange (`XNYS`), the opening included and the
            closing not. Intervals are then made from those raw rows, since the aggregates hold the others too; of days
            whose raw rows are no longer kept there is nothing. Rows of days that the exchange's calendar does not know
            (before 2000, or beyond its last year) are not filtered; `notes` says so.
    """

    as_of: Times | None
    partial: bool
    session: str | None


class Pandas(Options, total=False):
    """Keywords for data frames: `format` need not be given."""

    format: Literal["pandas"]


class Arrow(Options, total=False):
    """Keywords for Arrow tables."""

    format: Required[Literal["arrow"]]


class Either(Options, total=False):
    """Keywords of which the format is known only when the program runs."""

    format: Format
