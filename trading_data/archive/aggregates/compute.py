"""Aggregates computed in Python, for rows that are not in the archive yet, with the result of the continuous aggregate.

Exact numbers equal those of PostgreSQL's numeric to the last digit. Sums of doubles may differ in it, because they depend on the
order of addition.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from trading_data.datasets.declaration import Aggregate, Dataset, Measure

if TYPE_CHECKING:
    import pandas as pd

_EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
"""Precise enough for a sum of products of 38-digit numbers, as many as fit into memory, and for a quotient of two such sums."""
_NUMERIC_DIGITS = 16
"""The minimum of significant digits of a quotient in PostgreSQL, counted in groups of four digits."""


def compute(dataset: Dataset, aggregate: Aggregate, rows: "pd.DataFrame") -> "pd.DataFrame":
    """Aggregate raw rows (the dataset's columns, any order) into buckets aligned to midnight UTC.

    Returns:
        The aggregate's columns, one row a group and bucket, sorted by group and bucket.
    """
    import pandas as pd

    time = dataset.key[1]
    frame = rows.sort_values(time, kind="stable")
    frame = frame.assign(bucket=frame[time].dt.floor(pd.Timedelta(aggregate.width)))
    keys = [*aggregate.group_by, "bucket"]
    groups = frame.groupby(keys, sort=True, observed=True)
    with localcontext(_EXACT):
        buckets = pd.DataFrame({measure.name: _measure(frame, keys, groups, measure) for measure in aggregate.measures})
    return buckets.reset_index()[list(aggregate.columns)]


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """The quotient of two exact numbers, with as many decimal places as PostgreSQL's numeric gives it."""
    weight, first = _leading_group(numerator)
    other_weight, other_first = _leading_group(denominator)
    groups = weight - other_weight - (first <= other_first)
    digits = max(_NUMERIC_DIGITS - 4 * groups, _decimal_places(numerator), _decimal_places(denominator), 0)
    with localcontext(_EXACT):
        return (numerator / denominator).quantize(Decimal(1).scaleb(-digits))


def _leading_group(number: Decimal) -> tuple[int, int]:
    """The first non-zero group of four digits in numeric's representation: its position from the decimal point, and its value."""
    if not number:
        return 0, 0
    weight = number.adjusted() // 4
    return weight, int(abs(number).scaleb(-4 * weight))


def _decimal_places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _measure(frame: "pd.DataFrame", keys: list[str], groups: Any, measure: Measure) -> "pd.Series":
    import pandas as pd

    if measure.how in ("product_sum", "vwap"):
        product = frame[measure.of] * frame[measure.by]
        by_key = [frame[key] for key in keys]
        total = product.groupby(by_key, sort=True, observed=True).agg(_total)
        if measure.how == "product_sum":
            return total
        weights = groups[measure.by].agg(_total)
        if total.dtype != object:
            quotients: pd.Series = total / weights
            return quotients
        return pd.Series([ratio(*pair) for pair in zip(total, weights, strict=True)], index=total.index, dtype=object)
    simple: dict[str, str | Callable[..., Any]] = {"mean": "mean", "count": "count", "sum": _total}
    measured: pd.Series = groups[measure.of].agg(simple.get(measure.how, measure.how))
    return measured


def _total(values: "pd.Series") -> Any:
    return sum(values, Decimal(0)) if values.dtype == object else values.sum()
