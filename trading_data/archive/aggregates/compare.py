"""Comparisons in the database over a range: aggregates with the raw rows, and rows with their earlier state by fingerprint."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier

from trading_data.archive.database import Archive
from trading_data.archive.sql import identifiers, names_of, statement
from trading_data.datasets.declaration import Aggregate, Dataset, Measure

_FORMS = {
    "first": "first({of}, {time})",
    "last": "last({of}, {time})",
    "min": "min({of})",
    "max": "max({of})",
    "sum": "sum({of})",
    "mean": "avg({of})",
    "count": "count({of})",
    "product_sum": "sum({of} * {by})",
    "vwap": "sum({of} * {by}) / sum({by})",
}
_RELATIVE = 1e-9
"""Sums of doubles depend on the order of addition, which differs in an aggregate of an aggregate."""


def differences(archive: Archive, dataset: Dataset, aggregate: Aggregate, start: datetime, end: datetime) -> list[str]:
    """Compare the whole buckets in [start, end) with the raw rows; returns a line for each difference."""
    with archive.transaction(snapshot=True) as cursor:
        return differences_in_snapshot(cursor, dataset, aggregate, start, end)


def differences_in_snapshot(
    cursor: Cursor, dataset: Dataset, aggregate: Aggregate, start: datetime, end: datetime
) -> list[str]:
    """As `differences`, in the transaction of a cursor, which should be a snapshot."""
    keys = (*aggregate.group_by, "bucket")
    names: dict[str, Composable] = {
        "keys": identifiers(keys),
        "group_by": identifiers(aggregate.group_by),
        "time": Identifier(dataset.key[1]),
        "table": Identifier(dataset.table),
        "measures": SQL(", ").join(_expression(dataset, measure) for measure in aggregate.measures),
        "view": Identifier(aggregate.name),
        "columns": identifiers(aggregate.columns),
        "held": identifiers([measure.name for measure in aggregate.measures], "held"),
        "given": identifiers([measure.name for measure in aggregate.measures], "given"),
    }
    cursor.execute(statement("unequal_buckets", **names), {"start": start, "end": end, "width": aggregate.width})
    lines = []
    for row in cursor.fetchall():
        key, (is_held, is_given), values = row[: len(keys)], row[len(keys) : len(keys) + 2], row[len(keys) + 2 :]
        held = values[: len(aggregate.measures)] if is_held else None
        raw = values[len(aggregate.measures) :] if is_given else None
        if held is None or raw is None or not all(map(_is_equal, held, raw)):
            lines.append(f"{aggregate.name} {' '.join(map(str, key))}: has {held}, raw rows give {raw}")
    return lines


def fingerprint_of_rows(cursor: Cursor, dataset: Dataset, start: datetime, end: datetime) -> tuple[int, str]:
    """The number of rows in a range, and a hash as text that changes with any value."""
    names = {**names_of(dataset), "relation": Identifier(dataset.table)}
    cursor.execute(statement("fingerprint", **names), {"start": start, "end": end})
    return cursor.fetchone() or (0, "")


def fingerprints_of_aggregates(
    cursor: Cursor, dataset: Dataset, start: datetime, end: datetime
) -> dict[str, tuple[int, str]]:
    """By aggregate: the number of buckets that begin in a range, and a hash as text that changes with any value."""
    fingerprints = {}
    for aggregate in dataset.aggregates:
        names = {
            "relation": Identifier(aggregate.name),
            "columns": identifiers(aggregate.columns),
            "time": Identifier("bucket"),
        }
        cursor.execute(statement("fingerprint", **names), {"start": start, "end": end})
        fingerprints[aggregate.name] = cursor.fetchone() or (0, "")
    return fingerprints


def _expression(dataset: Dataset, measure: Measure) -> Composable:
    names = {"of": Identifier(measure.of), "time": Identifier(dataset.key[1])}
    if measure.by:
        names["by"] = Identifier(measure.by)
    return SQL(_FORMS[measure.how] + " as {name}").format(**names, name=Identifier(measure.name))


def _is_equal(held: Any, raw: Any) -> bool:
    if isinstance(held, Decimal) or isinstance(raw, Decimal):
        return bool(held == raw)
    return held == raw or math.isclose(held, raw, rel_tol=_RELATIVE, abs_tol=1e-12)
