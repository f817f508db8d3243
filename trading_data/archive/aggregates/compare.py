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
        mine = values[: len(aggregate.measures)] if is_held else None
        raw = values[len(aggregate.measures) :] if is_given else None
        if mine is None or raw is None or not all(map(_same, mine, raw)):
            lines.append(f"{aggregate.name} {' '.join(map(str, key))}: has {mine}, raw rows give {raw}")
    return lines


def _expression(dataset: Dataset, measure: Measure) -> Composable:
    names = {"of": Identifier(measure.of), "time": Identifier(dataset.key[1])}
    if measure.by:
        names["by"] = Identifier(measure.by)
    return SQL(_FORMS[measure.how] + " as {name}").format(**names, name=Identifier(measure.name))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Decimal) or isinstance(other, Decimal):
        return bool(one == other)
    return one == other or math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=1e-12)
