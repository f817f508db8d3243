"""Measuring both tiers once a minute, without a run: `health_sensor`.

What is measured goes two ways. The figures are journaled as measurements while somebody else sends something; at rest they would be
all that there is to archive, and would keep the system busy with itself. The health assets and their checks are told when a
verdict changes, or once an hour.

Belongs here: the sensor. Does not: measuring and limits (`trading_data.operations.health`), and telling people (`alerting`).
"""

import json
from collections.abc import Mapping
from datetime import datetime

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.datasets import DATASETS, METRICS
from trading_data.errors import LiveTierError, TradingDataError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import find_journals, inspect
from trading_data.live.store import LiveStore
from trading_data.operations.health.metric import Figures
from trading_data.operations.health.record import record
from trading_data.orchestration.assets.health import (
    health_page,
    redis_figures,
    timescale_figures,
    with_storage,
)
from trading_data.orchestration.declared import HEALTH_CHECKS, REDIS_HEALTH, TIMESCALE_HEALTH, sensor_status
from trading_data.orchestration.health_checks import report_freshness, results
from trading_data.orchestration.reports import as_evaluation, new_verdicts
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier
from trading_data.printable import counted
from trading_data.times import now


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=sensor_status("health_sensor"),
    description="Measure how well both tiers are, keep the figures while data come in, and tell the health assets and their checks "
    "when a verdict changes or once an hour. No run is needed for it; `health_job` does the same by hand.",
)
def health_sensor(
    context: dg.SensorEvaluationContext, live: LiveTier, archive: ArchiveTier, intake: IntakeStore
) -> dg.SensorResult:
    """One measurement; asks for no run. A tier that is away fails the tick, after the other one was measured."""
    moment, store = now(), intake.open()
    measured: dict[str, Figures] = {}
    trouble: list[TradingDataError] = []
    said: list[str] = []
    with live.for_sensor() as client, archive.for_sensor() as database:
        for asset in HEALTH_CHECKS:
            try:
                measured[asset] = (
                    redis_figures(client)
                    if asset == REDIS_HEALTH
                    else with_storage(context.instance, timescale_figures(client, database, store, moment))
                )
                said += _report(context.instance, client, database, store, asset, measured[asset], moment)
            except TradingDataError as error:
                trouble.append(error)
        if TIMESCALE_HEALTH in measured:
            turned = report_freshness(context.instance, database, moment)
            said += [f"{one.asset_key.to_user_string()}: {one.description}" for one in turned]
        if trouble:
            raise trouble[0]
        cursor, recorded = _record(client, measured, context.cursor, moment)
    count = sum(len(list(one)) for one in measured.values())
    return dg.SensorResult(
        skip_reason="; ".join([f"{counted(count, 'figure')} measured, {recorded}", *said])[:1000], cursor=cursor
    )


def others_sent(before: Mapping[str, int], added: Mapping[str, int]) -> bool:
    """Whether somebody else has added to a journal since the last look; of the first look nothing is known."""
    return bool(before) and dict(before) != dict(added)


def _record(client: Client, measured: Mapping[str, Figures], cursor: str | None, moment: datetime) -> tuple[str, str]:
    """Journal the figures if others send too. Returns how much each journal ever had with our own, and what was done."""
    added = {
        name: sum(one.added for one in inspect(client, find_journals(client, dataset)).values())
        for name, dataset in DATASETS.items()
    }
    if not others_sent(json.loads(cursor or "{}"), added):
        return json.dumps(added), "none recorded: nobody has sent anything since the last look"
    try:
        written = sum(record(LiveStore(client), figures, moment) for figures in measured.values())
    except LiveTierError as error:  # it is full; what is wrong with it was told
        return json.dumps(added), f"none recorded: {error}"
    return json.dumps({**added, METRICS.name: added[METRICS.name] + written}), f"{written} recorded"


def _report(
    instance: dg.DagsterInstance,
    client: Client,
    database: Archive,
    store: Intake,
    asset: str,
    figures: Figures,
    moment: datetime,
) -> list[str]:
    """Tell an asset and those of its checks that are news."""
    told = new_verdicts(
        instance, map(as_evaluation, results(asset, HEALTH_CHECKS[asset], figures)), moment, words=False
    )
    if told:
        page = health_page(asset, client, database, store, figures, moment)
        instance.report_runless_asset_event(dg.AssetMaterialization(asset, metadata=page))
    for one in told:
        instance.report_runless_asset_event(one)
    return [f"{one.check_name} is {'well' if one.passed else 'not well'}" for one in told]
