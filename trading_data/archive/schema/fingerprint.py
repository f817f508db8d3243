"""A text for many rows that any change of any of them changes, whatever their order: what has to be equal before and after.

It is a sum of hashes that PostgreSQL keeps the same from release to release, since it spreads rows over partitions by them.

Belongs here: taking it. Does not: keeping and comparing it.
"""

from datetime import datetime

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.sql import identifiers, names_of, statement
from trading_data.datasets.declaration import Dataset


def fingerprint_of_rows(cursor: Cursor, dataset: Dataset, start: datetime, end: datetime) -> tuple[int, str]:
    """How many rows a range holds, and a text that any change of them changes."""
    names = {**names_of(dataset), "relation": Identifier(dataset.table)}
    cursor.execute(statement("fingerprint", **names), {"start": start, "end": end})
    return cursor.fetchone() or (0, "")


def fingerprints_of_aggregates(
    cursor: Cursor, dataset: Dataset, start: datetime, end: datetime
) -> dict[str, tuple[int, str]]:
    """Of each aggregate, how many buckets begin in a range, and a text that any change of them changes."""
    found = {}
    for aggregate in dataset.aggregates:
        names = {
            "relation": Identifier(aggregate.name),
            "columns": identifiers(aggregate.columns),
            "time": Identifier("bucket"),
        }
        cursor.execute(statement("fingerprint", **names), {"start": start, "end": end})
        found[aggregate.name] = cursor.fetchone() or (0, "")
    return found
