"""The figures in the system's own `metrics_data`, written and read like any other measurements."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from trading_data.datasets.records import Measurement
from trading_data.live.store import LiveStore
from trading_data.operations.health.metric import Metric, offered
from trading_data.reader.market_data import MarketData
from trading_data.times import DAY
from trading_data.times import now as present

_STEP = timedelta(minutes=16)
"""Ninety of them make a day: as many as `orchestration.metadata` draws."""


def record(store: LiveStore, figures: Iterable[Metric], now: datetime) -> int:
    """Journal the figures that have a number, all at the moment `now`. Returns how many they were.

    Raises:
        LiveTierFull: the live tier takes no more.
        LiveTierError: it is away.
    """
    measured = [Measurement(figure.metric, now, float(figure.value or 0), figure.unit) for figure in offered(figures)]
    return len(store.record_metrics(measured))


def last_day(market: MarketData, metric: str, now: datetime | None = None) -> list[float]:
    """The last day of a metric, the largest value of each 16 minutes that have any, oldest first."""
    return last_day_of(market, [metric], now)[metric]


def last_day_of(market: MarketData, metrics: Sequence[str], now: datetime | None = None) -> dict[str, list[float]]:
    """`last_day` of several metrics, read in one query; while a tier is unavailable, what the other holds."""
    import pandas as pd

    end = now or present()
    rows = market.metrics(list(metrics), end - DAY, end + timedelta(seconds=1), partial=True)
    values_of: dict[str, list[float]] = {name: [] for name in metrics}
    for name, of_name in rows.groupby("metric_name", observed=True):
        series_values = pd.Series(of_name["value"].to_numpy(), index=pd.DatetimeIndex(of_name["timestamp"]))
        values_of[str(name)] = series_values.resample(_STEP).max().dropna().tolist()
    return values_of
