"""An aggregate in Python: for rows that are not in the archive yet, the same result as the continuous aggregate.

Exact numbers come out to the last digit as PostgreSQL's numeric would have them; sums of doubles may differ in it, since
they depend on the order of adding.

Belongs here: the arithmetic, by declaration. Does not: which rows.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from trading_data.datasets.declaration import Aggregate, Dataset, Measure

if TYPE_CHECKING:
    import pandas as pd

_EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
"""Room for the sum of as many products of two 38-digit numbers as fit into memory, and for a quotient of two such sums."""
_NUMERIC_DIGITS = 16
"""Significant digits that PostgreSQL gives a quotient at least, reckoned in groups of four digits."""


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
        out = pd.DataFrame({measure.name: _measure(frame, keys, groups, measure) for measure in aggregate.measures})
    return out.reset_index()[list(aggregate.columns)]


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """The quotient of two exact numbers with the digits behind the point that PostgreSQL's numeric gives it."""
    weight, first = _leading_group(numerator)
    other_weight, other_first = _leading_group(denominator)
    groups = weight - other_weight - (first <= other_first)
    digits = max(_NUMERIC_DIGITS - 4 * groups, _behind_point(numerator), _behind_point(denominator), 0)
    with localcontext(_EXACT):
        return (numerator / denominator).quantize(Decimal(1).scaleb(-digits))


def _leading_group(number: Decimal) -> tuple[int, int]:
    """The first group of four digits that is not zero, as numeric keeps them: its place from the point, and its value."""
    if not number:
        return 0, 0
    weight = number.adjusted() // 4
    return weight, int(abs(number).scaleb(-4 * weight))


def _behind_point(number: Decimal) -> int:
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
            made: pd.Series = total / weights
            return made
        return pd.Series([ratio(*pair) for pair in zip(total, weights, strict=True)], index=total.index, dtype=object)
    simple: dict[str, str | Callable[..., Any]] = {"mean": "mean", "count": "count", "sum": _total}
    found: pd.Series = groups[measure.of].agg(simple.get(measure.how, measure.how))
    return found


def _total(values: "pd.Series") -> Any:
    return sum(values, Decimal(0)) if values.dtype == object else values.sum()
