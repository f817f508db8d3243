"""What the archive knew at a moment, for backtests that must not look ahead.

A version of a row was known from the `archived_at` of the batch that brought it until that of the batch that replaced it.
Live and waiting entries are no part of it. Numbers come back as they were: exact ones as their text, floats bit by bit
(but for the sign of a zero, which JSON does not keep).

Belongs here: the version of each key at a moment. Does not: what is known now (`archived`, `waiting`).
"""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.sql import name_in_revision, names_of, said, statement
from trading_data.datasets import codec
from trading_data.datasets.declaration import Dataset
from trading_data.reader.archive_queries import Range, whole_minutes
from trading_data.reader.columns import columns_out, copied, listed


def read_as_of(cursor: Cursor, dataset: Dataset, about: Sequence[str] | None, one: Range, as_of: datetime) -> pa.Table:
    """The rows in a range as they were archived at `as_of`, those about one of `about` (None: all).

    A row that a correction made one about something else is found under what it was about then.
    """
    names = {
        **names_of(dataset),
        "columns": columns_out(dataset, "known"),
        "old_columns": columns_out(dataset, "old"),
        "said": said(dataset, dataset.key[1], "known"),
        "of_subject": name_in_revision(dataset),
        "filter": Identifier(dataset.about),
    }
    low, high = whole_minutes(dataset, one)
    values = {
        "low": low,
        "high": high,
        "dataset": dataset.name,
        "start": one[0],
        "end": one[1],
        "as_of": as_of,
        "subjects": listed(about),
        "keys": listed(about) if dataset.about in dataset.key else None,
    }
    return copied(cursor, statement("rows_as_of", **names), values, codec.schema(dataset))
