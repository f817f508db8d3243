"""Both tiers and the flow between them, measured and judged at one moment, and recorded as measurements.

An unavailable tier is a finding of its own, with the highest priority; everything else is still measured.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_data.archive.database import Archive
from trading_data.datasets.records import Measurement
from trading_data.errors import SchemaError, ServerError, TradingDataError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.store import LiveStore
from trading_data.operations.health.metric import Figures, Metric, offered
from trading_data.operations.health.pipeline import measure_flow
from trading_data.operations.health.redis import measure_redis
from trading_data.operations.health.rules import (
    ARCHIVE_AWAY,
    ARCHIVE_REFUSES,
    FLOW_UNKNOWN,
    LIVE_AWAY,
    LIVE_REFUSES,
    SCHEMA_OTHER,
    THRESHOLDS,
    soonest_full,
)
from trading_data.operations.health.thresholds import ERROR, Finding, in_order, judge
from trading_data.operations.health.timescale import measure_timescale
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


def last_day_of(market: MarketData, metrics: Sequence[str], now: datetime | None = None) -> dict[str, list[float]]:
    """The last day of each metric: the largest value of each 16 minutes that have any, oldest first.

    They are read in one query; while a tier is unavailable, what the other holds.
    """
    import pandas as pd

    end = now or present()
    rows = market.metrics(list(metrics), end - DAY, end + timedelta(seconds=1), partial=True)
    values_of: dict[str, list[float]] = {name: [] for name in metrics}
    for name, of_name in rows.groupby("metric_name", observed=True):
        series_values = pd.Series(of_name["value"].to_numpy(), index=pd.DatetimeIndex(of_name["timestamp"]))
        values_of[str(name)] = series_values.resample(_STEP).max().dropna().tolist()
    return values_of


@dataclass(frozen=True)
class Measured:
    """All figures of one moment. An unavailable tier has no figures, and is named in `away`.

    `away` maps `redis`, `timescale` or `flow` to the error that kept it from being measured.
    """

    redis: Figures
    timescale: Figures
    flow: Figures
    away: dict[str, TradingDataError]

    def __iter__(self) -> Iterator[Metric]:
        for tier in self.tiers.values():
            yield from tier

    @property
    def tiers(self) -> dict[str, Figures]:
        """The figures by where they come from."""
        return {"redis": self.redis, "timescale": self.timescale, "flow": self.flow}

    def together(self) -> Figures:
        """The figures of all tiers in one, since a forecast may use those of another tier."""
        texts = {name: lines for tier in self.tiers.values() for name, lines in tier.texts.items()}
        return Figures(tuple(self), texts)


def measure_all(
    client: Client, archive: Archive, intake: Intake, now: datetime, *, calendar: str | None = None, sizes: bool = False
) -> Measured:
    """Measure both tiers and the flow; never raises for an unavailable tier.

    Args:
        client: from `connect_for_archiver`.
        archive: the archive tier.
        intake: between the two.
        now: aware.
        calendar: name of the exchange whose hours freshness counts; None for TRADING_DATA_CALENDAR.
        sizes: also measure the sizes of the archive's tables on disk, which no threshold uses.
    """
    none = Figures(())
    figures = {"redis": none, "timescale": none, "flow": none}
    away: dict[str, TradingDataError] = {}
    try:
        figures["redis"] = measure_redis(client)
    except TradingDataError as error:
        away["redis"] = error
    try:
        figures["timescale"] = measure_timescale(archive, sizes=sizes)
    except TradingDataError as error:
        away["timescale"] = error
    try:
        figures["flow"] = measure_flow(client, archive, intake, now, calendar=calendar, away=tuple(away))
    except TradingDataError as error:
        away["flow"] = error
    return Measured(**figures, away=away)


def findings(measured: Measured) -> list[Finding]:
    """What is wrong by these measurements, in order of priority."""
    figures = measured.together()
    away = [away_finding(tier, error, soonest_full(figures)) for tier, error in measured.away.items()]
    return in_order([*away, *judge(THRESHOLDS, figures)])


def away_finding(tier: str, error: Exception, full_in: float | None = None) -> Finding:
    """The finding that a tier (`redis`, `timescale`, `flow`) could not be measured: it does not answer, or it refuses.

    Without the archive, service suffers once the live tier is full, in `full_in` seconds; without the live tier, at once.
    """
    command = error.command if isinstance(error, ServerError) else ""
    declared = {"redis": LIVE_AWAY, "timescale": ARCHIVE_AWAY, "flow": FLOW_UNKNOWN}[tier]
    if command:
        declared = {LIVE_AWAY: LIVE_REFUSES, ARCHIVE_AWAY: ARCHIVE_REFUSES}.get(declared, declared)
    if isinstance(error, SchemaError):
        declared = SCHEMA_OTHER
    return Finding(
        key=declared.key,
        severity=ERROR,
        message=str(error),
        command=command or declared.command,
        priority=declared.priority,
        time_to_impact=0.0 if tier == "redis" else full_in,
    )
