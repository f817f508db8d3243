"""An aggregate in Python: for rows that are not in the archive yet, the same result as the continuous aggregate.

Belongs here: the arithmetic, by declaration. Does not: which rows.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd

from trading_data.datasets.declaration import Aggregate, Dataset, Measure


def compute(dataset: Dataset, aggregate: Aggregate, rows: pd.DataFrame) -> pd.DataFrame:
    """Aggregate raw rows (the dataset's columns, any order) into buckets aligned to midnight UTC.

    Returns:
        The aggregate's columns, one row a group and bucket, sorted by group and bucket.
    """
    time = dataset.key[1]
    frame = rows.sort_values(time, kind="stable")
    frame = frame.assign(bucket=frame[time].dt.floor(pd.Timedelta(aggregate.width)))
    keys = [*aggregate.group_by, "bucket"]
    groups = frame.groupby(keys, sort=True, observed=True)
    out = pd.DataFrame({measure.name: _measure(frame, keys, groups, measure) for measure in aggregate.measures})
    return out.reset_index()[list(aggregate.columns)]


def ratio(numerator: Any, denominator: Any) -> Any:
    """Notional / quantity, exact decimals divided with 28 digits."""
    return numerator / denominator


def _measure(frame: pd.DataFrame, keys: list[str], groups: Any, measure: Measure) -> pd.Series:
    if measure.how in ("product_sum", "vwap"):
        product = frame[measure.of] * frame[measure.by]
        by_key = [frame[key] for key in keys]
        total = product.groupby(by_key, sort=True, observed=True).agg(_total)
        made: pd.Series = total if measure.how == "product_sum" else ratio(total, groups[measure.by].agg(_total))
        return made
    simple: dict[str, str | Callable[..., Any]] = {"mean": "mean", "count": "count", "sum": _total}
    found: pd.Series = groups[measure.of].agg(simple.get(measure.how, measure.how))
    return found


def _total(values: pd.Series) -> Any:
    return sum(values, Decimal(0)) if values.dtype == object else values.sum()
