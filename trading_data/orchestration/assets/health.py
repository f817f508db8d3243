"""Group `operations`: the health of both tiers, as figures, plots and verdicts.

Limits and measuring are in `trading_data.operations.health`; the checks that run by themselves are in `orchestration.checks`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.errors import LiveTierError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.store import LiveStore
from trading_data.operations.health.collect import last_day_of, record
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.pipeline import measure_flow, memory_forecast
from trading_data.operations.health.redis import measure_redis
from trading_data.operations.health.timescale import measure_timescale
from trading_data.orchestration.assets.sources import OWNER
from trading_data.orchestration.declared import HEALTH_CHECKS, REDIS_HEALTH, TIMESCALE_HEALTH
from trading_data.orchestration.health_checks import figures_metadata, report_freshness, results
from trading_data.orchestration.reports import Event, as_evaluation
from trading_data.orchestration.resources import (
    ArchiveTier,
    Environment,
    IntakeStore,
    LiveTier,
    as_dagster_failure,
)
from trading_data.reader.market_data import MarketData
from trading_data.times import now

_PLOTS: dict[str, Sequence[str]] = {
    REDIS_HEALTH: ("redis.memory.used", "redis.round_trip", "redis.clients"),
    TIMESCALE_HEALTH: ("timescale.database.bytes", "flow.journal.oldest.price", "flow.journal.oldest.trade"),
}
_KINDS = {REDIS_HEALTH: {"redis"}, TIMESCALE_HEALTH: {"timescaledb", "postgres"}}
_DESCRIPTIONS = {
    REDIS_HEALTH: "The health of the live tier: memory and when it is full, persistence, clients, latency, replication, and "
    "settings that differ from the declared ones. Its figures are in `metrics_data` as `redis.…`.",
    TIMESCALE_HEALTH: "The health of the archive: disk, chunks, compression, statements, locks, connections, replication, and what "
    "waits on the way to it. Its figures are in `metrics_data` as `timescale.…` and `flow.…`.",
}


def health_assets() -> list[dg.AssetsDefinition]:
    """Both."""
    return [_health_asset(asset) for asset in HEALTH_CHECKS]


def _health_asset(asset: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=asset,
        group_name="operations",
        kinds=_KINDS[asset],
        owners=[OWNER],
        output_required=False,
        description=_DESCRIPTIONS[asset],
    )
    def health(
        context: dg.AssetExecutionContext,
        live: LiveTier,
        archive: ArchiveTier,
        intake: IntakeStore,
        environment: dg.ResourceParam[Environment],
    ) -> Iterator[Event]:
        """Measure, record, judge; with the archive, judge the freshness of each archive asset too."""
        moment, store = now(), intake.open()
        with as_dagster_failure(), live.for_archiver() as client, archive.connect() as database:
            figures = measured_figures(asset, context.instance, client, database, store, moment, environment)
            recorded = _record(client, figures, moment)
            page = health_page(asset, client, database, store, environment, figures, moment)
            if asset == TIMESCALE_HEALTH:
                for verdict in report_freshness(context.instance, database, moment, environment.settings.calendar):
                    context.log.info(f"{verdict.asset_key.to_user_string()}: {verdict.description}")
        yield dg.AssetMaterialization(asset, metadata={"recorded": recorded, **page})
        yield from map(as_evaluation, results(asset, HEALTH_CHECKS[asset], figures))

    return health


def measured_figures(
    asset: str,
    instance: dg.DagsterInstance,
    client: Client,
    database: Archive,
    store: Intake,
    moment: datetime,
    environment: Environment,
) -> Figures:
    """The figures of a health asset.

    Raises:
        LiveTierError: of `redis_health`, while the live tier is away.
        ArchiveTierError: of `timescale_health`, while the archive is away.
    """
    if asset == REDIS_HEALTH:
        measured, forecast = measure_redis(client), memory_forecast(client)
        return Figures((*measured, *forecast), measured.texts)
    measured, calendar = measure_timescale(database), environment.settings.calendar
    try:
        flow = measure_flow(client, database, store, moment, calendar=calendar)
    except LiveTierError:  # `redis_health` fails then
        flow = measure_flow(client, database, store, moment, calendar=calendar, away=("redis",))
    in_flow = (metric for metric in flow if metric.name != "flow.memory.full_in")
    return Figures((*measured, *in_flow, _storage(instance)), measured.texts)


def _storage(instance: dg.DagsterInstance) -> Metric:
    """The size of Dagster's own database."""
    from trading_data.orchestration.old_events import storage_bytes  # loads SQLAlchemy

    size = storage_bytes(instance)
    if size is None:
        return Metric("dagster.storage.bytes", None, "bytes", not_offered="Dagster's storage is not PostgreSQL")
    return Metric("dagster.storage.bytes", float(size), "bytes")


def _record(client: Client, figures: Figures, moment: datetime) -> str:
    """Record the figures in `metrics_data`. Returns how many, or why none: a tier that is full must not hide its figures."""
    try:
        return f"{record(LiveStore(client), figures, moment)} measurements"
    except LiveTierError as error:
        return f"nothing: {error}"


def health_page(
    asset: str,
    client: Client,
    database: Archive,
    intake: Intake,
    environment: Environment,
    figures: Figures,
    moment: datetime,
) -> dict[str, Any]:
    """The figures, and plots of some of them over the last day."""
    market = MarketData(client, database, intake, environment.earliest)
    return figures_metadata(figures, last_day_of(market, _PLOTS[asset], moment))
