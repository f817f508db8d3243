"""Group `operations`: how well both tiers are, as figures, plots and checks.

Belongs here: the two assets. Does not: measuring and limits (`trading_data.operations.health`), and checks
(`orchestration.health_checks`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.errors import LiveTierError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.store import LiveStore
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.pipeline import measure_flow, memory_forecast
from trading_data.operations.health.record import last_day_of, record
from trading_data.operations.health.redis import measure_redis
from trading_data.operations.health.timescale import measure_timescale
from trading_data.orchestration.assets.sources import OWNER
from trading_data.orchestration.declared import HEALTH_CHECKS, REDIS_HEALTH, TIMESCALE_HEALTH
from trading_data.orchestration.health_checks import figures_metadata, report_freshness, results, specs
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier, as_dagster_failure, earliest
from trading_data.reader.market_data import MarketData
from trading_data.times import now

_PLOTS: dict[str, Sequence[str]] = {
    REDIS_HEALTH: ("redis.memory.used", "redis.round_trip", "redis.clients"),
    TIMESCALE_HEALTH: ("timescale.database.bytes", "flow.journal.oldest.price", "flow.journal.oldest.trade"),
}


def health_assets() -> list[dg.AssetsDefinition]:
    """Both."""
    return [redis_health, timescale_health]


@dg.asset(
    name=REDIS_HEALTH,
    group_name="operations",
    kinds={"redis"},
    owners=[OWNER],
    check_specs=specs(REDIS_HEALTH, HEALTH_CHECKS[REDIS_HEALTH]),
    description="How well the live tier is: memory and when it is full, persistence, clients, latency, replication, its settings "
    "against the declared ones. Its figures are in `metrics_data` as `redis.…`.",
)
def redis_health(live: LiveTier, archive: ArchiveTier, intake: IntakeStore) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Measure, record, judge."""
    moment = now()
    with as_dagster_failure(), live.for_archiver() as client, archive.connect() as database:
        figures = redis_figures(client)
        recorded = recorded_line(client, figures, moment)
        page = health_page(REDIS_HEALTH, client, database, intake.open(), figures, moment)
    return dg.MaterializeResult(
        metadata={"recorded": recorded, **page},
        check_results=results(REDIS_HEALTH, HEALTH_CHECKS[REDIS_HEALTH], figures),
    )


@dg.asset(
    name=TIMESCALE_HEALTH,
    group_name="operations",
    kinds={"timescaledb", "postgres"},
    owners=[OWNER],
    check_specs=specs(TIMESCALE_HEALTH, HEALTH_CHECKS[TIMESCALE_HEALTH]),
    description="How well the archive tier is: disk, chunks, compression, statements, locks, connections, replication; and what "
    "waits on the way to it. Its figures are in `metrics_data` as `timescale.…` and `flow.…`.",
)
def timescale_health(
    context: dg.AssetExecutionContext, live: LiveTier, archive: ArchiveTier, intake: IntakeStore
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Measure, record, judge; look at every archive asset's freshness."""
    moment, store = now(), intake.open()
    with as_dagster_failure(), live.for_archiver() as client, archive.connect() as database:
        figures = with_storage(context.instance, timescale_figures(client, database, store, moment))
        recorded = recorded_line(client, figures, moment)
        page = health_page(TIMESCALE_HEALTH, client, database, store, figures, moment)
        for one in report_freshness(context.instance, database, moment):
            context.log.info(f"{one.asset_key.to_user_string()}: {one.description}")
    return dg.MaterializeResult(
        metadata={"recorded": recorded, **page},
        check_results=results(TIMESCALE_HEALTH, HEALTH_CHECKS[TIMESCALE_HEALTH], figures),
    )


def redis_figures(client: Client) -> Figures:
    """What `redis_health` measures; raises LiveTierError while the tier is away."""
    measured, forecast = measure_redis(client), memory_forecast(client)
    return Figures((*measured, *forecast), measured.texts)


def timescale_figures(client: Client, database: Archive, store: Intake, moment: datetime) -> Figures:
    """What `timescale_health` measures; raises ArchiveTierError while the tier is away."""
    measured = measure_timescale(database)
    try:
        flow = measure_flow(client, database, store, moment)
    except LiveTierError:  # `redis_health` fails with it
        flow = measure_flow(client, database, store, moment, away=("redis",))
    return Figures((*measured, *(one for one in flow if one.name != "flow.memory.full_in")), measured.texts)


def with_storage(instance: dg.DagsterInstance, figures: Figures) -> Figures:
    """These figures and the size of Dagster's own database."""
    from trading_data.orchestration.old_events import storage_bytes

    size = storage_bytes(instance)
    why = "" if size is not None else "Dagster's storage is no PostgreSQL"
    metric = Metric("dagster.storage.bytes", None if size is None else float(size), "bytes", not_offered=why)
    return Figures((*figures, metric), figures.texts)


def recorded_line(client: Client, figures: Figures, moment: datetime) -> str:
    """How many figures went into `metrics_data`, or why none did: a tier that is full or away must not hide the others'."""
    try:
        return f"{record(LiveStore(client), figures, moment)} measurements"
    except LiveTierError as error:
        return f"nothing: {error}"


def health_page(
    asset: str, client: Client, database: Archive, intake: Intake, figures: Figures, moment: datetime
) -> dict[str, Any]:
    """The figures, and the last day of some of them."""
    market = MarketData(client, database, intake, earliest())
    return figures_metadata(figures, last_day_of(market, _PLOTS[asset], moment))
