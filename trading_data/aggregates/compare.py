"""Whether an aggregate equals what the raw rows give: the proof behind every refresh.

Belongs here: the comparison over a range, in the database. Does not: refreshing.
"""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL, Composable, Identifier

from trading_data.archive.database import Archive
from trading_data.archive.sql import identifiers, statement
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
"""Sums of doubles depend on the order of adding; an aggregate of an aggregate adds in another one."""


def differences(archive: Archive, dataset: Dataset, aggregate: Aggregate, start: datetime, end: datetime) -> list[str]:
    """Compare over whole buckets in [start, end); returns one line a difference, none when all is equal."""
    with archive.transaction(snapshot=True) as cursor:
        return differences_seen(cursor, dataset, aggregate, start, end)


def differences_seen(
    cursor: Cursor, dataset: Dataset, aggregate: Aggregate, start: datetime, end: datetime
) -> list[str]:
    """As `differences`, within the transaction of a cursor, whose statements should all see one moment."""
    bounds = {"start": start, "end": end, "width": aggregate.width}
    names: dict[str, Composable] = {
        "group_by": identifiers(aggregate.group_by),
        "time": Identifier(dataset.key[1]),
        "table": Identifier(dataset.table),
        "measures": SQL(", ").join(_expression(dataset, measure) for measure in aggregate.measures),
    }
    cursor.execute(statement("recompute", **names), bounds)
    expected = _keyed(cursor, aggregate)
    view = {"columns": identifiers(aggregate.columns), "view": Identifier(aggregate.name)}
    cursor.execute(statement("aggregate_rows", **view), bounds)
    actual = _keyed(cursor, aggregate)
    lines = []
    for key in sorted(expected.keys() | actual.keys()):
        mine, raw = actual.get(key), expected.get(key)
        if mine is None or raw is None or not all(map(_same, mine, raw)):
            lines.append(f"{aggregate.name} {' '.join(map(str, key))}: has {mine}, raw rows give {raw}")
    return lines


def _expression(dataset: Dataset, measure: Measure) -> Composable:
    names = {"of": Identifier(measure.of), "time": Identifier(dataset.key[1])}
    if measure.by:
        names["by"] = Identifier(measure.by)
    return SQL(_FORMS[measure.how] + " as {name}").format(**names, name=Identifier(measure.name))


def _keyed(cursor: Cursor, aggregate: Aggregate) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    width = len(aggregate.group_by) + 1
    return {row[:width]: row[width:] for row in cursor.fetchall()}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Decimal) or isinstance(other, Decimal):
        return bool(one == other)
    return one == other or math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=1e-12)
