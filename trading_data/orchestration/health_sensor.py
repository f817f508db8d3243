"""`health_sensor`: measures both tiers once a minute, without a run.

The figures go two ways. They are journaled as measurements while anything else sends data; at rest they would be the only entries
to archive, and would keep the system busy with itself. The health assets and their checks get an event when a verdict changes,
or once an hour.
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
from trading_data.operations.health.collect import record
from trading_data.operations.health.metric import Figures
from trading_data.orchestration.assets.health import health_page, measured_figures
from trading_data.orchestration.declared import HEALTH_CHECKS, TIMESCALE_HEALTH, sensor_status
from trading_data.orchestration.health_checks import report_freshness, results
from trading_data.orchestration.reports import as_evaluation, new_verdicts
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, LiveTier
from trading_data.printable import counted
from trading_data.times import now


def health_sensor(environment: Environment) -> dg.SensorDefinition:
    """The sensor; off where TRADING_DATA_HEALTH_SCHEDULE is `off`."""

    @dg.sensor(
        name="health_sensor",
        minimum_interval_seconds=60,
        default_status=sensor_status("health_sensor", environment.variables),
        description="Measure the health of both tiers, record the figures while data come in, and update the health assets and "
        "their checks when a verdict changes or once an hour. Starts no run; `health_job` does the same by hand.",
    )
    def measure(
        context: dg.SensorEvaluationContext,
        live: LiveTier,
        archive: ArchiveTier,
        intake: IntakeStore,
        environment: dg.ResourceParam[Environment],
    ) -> dg.SensorResult:
        """One measurement. If a tier is away the tick fails, after the other tier was measured."""
        return _measure(context, live, archive, intake.open(), environment)

    return measure


def _measure(
    context: dg.SensorEvaluationContext, live: LiveTier, archive: ArchiveTier, store: Intake, environment: Environment
) -> dg.SensorResult:
    moment, instance = now(), context.instance
    measured: dict[str, Figures] = {}
    errors: list[TradingDataError] = []
    lines: list[str] = []
    with live.for_sensor() as client, archive.for_sensor() as database:
        for asset in HEALTH_CHECKS:
            try:
                measured[asset] = measured_figures(asset, instance, client, database, store, moment, environment)
                lines += _report(instance, client, database, store, environment, asset, measured[asset], moment)
            except TradingDataError as error:
                errors.append(error)
        if TIMESCALE_HEALTH in measured:
            changed = report_freshness(instance, database, moment, environment.settings.calendar)
            lines += [f"{verdict.asset_key.to_user_string()}: {verdict.description}" for verdict in changed]
        if errors:
            raise errors[0]
        cursor, recorded = _record(client, measured, context.cursor, moment)
    count = sum(len(list(figures)) for figures in measured.values())
    return dg.SensorResult(
        skip_reason="; ".join([f"{counted(count, 'figure')} measured, {recorded}", *lines])[:1000], cursor=cursor
    )


def others_sent(before: Mapping[str, int], added: Mapping[str, int]) -> bool:
    """Whether anything else has added to a journal since the last tick; False on the first tick."""
    return bool(before) and dict(before) != dict(added)


def _record(client: Client, measured: Mapping[str, Figures], cursor: str | None, moment: datetime) -> tuple[str, str]:
    """Journal the figures if others send data too.

    Returns:
        The next cursor, how many entries were ever added to each dataset's journals, our own included; and what was done.
    """
    added = {
        name: sum(journal.added for journal in inspect(client, find_journals(client, dataset)).values())
        for name, dataset in DATASETS.items()
    }
    if not others_sent(json.loads(cursor or "{}"), added):
        return json.dumps(added), "none recorded: no data came in since the last tick"
    try:
        written = sum(record(LiveStore(client), figures, moment) for figures in measured.values())
    except LiveTierError as error:  # it is full; a check reports that already
        return json.dumps(added), f"none recorded: {error}"
    return json.dumps({**added, METRICS.name: added[METRICS.name] + written}), f"{written} recorded"


def _report(
    instance: dg.DagsterInstance,
    client: Client,
    database: Archive,
    store: Intake,
    environment: Environment,
    asset: str,
    figures: Figures,
    moment: datetime,
) -> list[str]:
    """Report an asset and all its verdicts if one of them is new; a line for each new one.

    Dagster would show the others as *Not Evaluated* if somebody had executed them before.
    """
    verdicts = list(map(as_evaluation, results(asset, HEALTH_CHECKS[asset], figures)))
    changed = new_verdicts(instance, verdicts, moment, words=False)
    if changed:
        page = health_page(asset, client, database, store, environment, figures, moment)
        instance.report_runless_asset_event(dg.AssetMaterialization(asset, metadata=page))
        for verdict in verdicts:
            instance.report_runless_asset_event(verdict)
    return [f"{verdict.check_name} {'passes' if verdict.passed else 'fails'}" for verdict in changed]
