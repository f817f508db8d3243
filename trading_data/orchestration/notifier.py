"""`alert_sensor`: once a minute it collects what is wrong and sends each channel the alerts that are due.

It reads failed and stuck runs and red checks from Dagster, and measures both tiers itself, so that a dead health sensor silences no
alert. A tier that is away is a finding, not a failed tick; so is a channel that does not deliver. What is wrong is decided in
`run_findings` and `operations.health`, delivery is in `operations.alerts`.
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import dagster as dg

from trading_data.errors import TradingDataError
from trading_data.operations.alerts.channels import channels
from trading_data.operations.alerts.notify import (
    NotifierState,
    NotifyResult,
    TierFindings,
    judge_tiers,
    notify,
    unobservable,
)
from trading_data.operations.alerts.settings import AlertSettings, wrong_settings
from trading_data.operations.alerts.state import StorageMemory
from trading_data.operations.backup.metrics import UNKNOWN, look_at_backups, unknown
from trading_data.operations.health.thresholds import ERROR, Finding
from trading_data.orchestration.declared import ALL_JOBS, sensor_status
from trading_data.orchestration.resources import ArchiveTier, Environment, IntakeStore, LiveTier
from trading_data.orchestration.run_findings import (
    ended_failures,
    failed_runs,
    large_storage,
    red_checks,
    stuck_runs,
    switched,
)

LOOK_EVERY = 50.0
"""A tick sooner than this after the last measurement does nothing."""
BACKUPS_EVERY = 600.0
"""Seconds between two checks of the backups: their manifests are long, and their limits are hours.

While an alert about them is open each tick checks them, so that it is over soon after a backup.
"""
LOOK = "look"


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=sensor_status("alert_sensor"),
    description="Send alerts to webhook, mail, services and log when something is wrong, and again when it is over: failed and "
    "stuck runs, red checks, crossed thresholds, a tier that is away.",
)
def alert_sensor(
    context: dg.SensorEvaluationContext,
    live: LiveTier,
    archive: ArchiveTier,
    intake: IntakeStore,
    environment: dg.ResourceParam[Environment],
) -> dg.SensorResult:
    """One measurement and one round of alerts; starts no run."""
    now = time.time()
    remembered: dict[str, float] = json.loads(context.cursor or "{}")
    known = NotifierState.load(StorageMemory(context.instance.daemon_cursor_storage).load())
    ago = now - remembered.get("looked", 0.0)
    if 0 <= ago < LOOK_EVERY:
        reason = f"{_standing(known)}; looked {ago:.0f} s ago, once a minute is enough"
        return dg.SensorResult(skip_reason=reason, cursor=context.cursor)
    checks = [] if context.repository_def is None else context.repository_def.asset_graph.asset_check_keys
    tiers = _judge_tiers(live, archive, intake)
    looked_at_backups = remembered.get("backups", 0.0)
    backups_due = not 0 <= now - looked_at_backups < BACKUPS_EVERY or any(map(_of_backup, known.standing()))
    of_dagster = _of_dagster(context.instance, checks, now, environment)
    of_backups, backups_seen = _of_backups(environment, now) if backups_due else ([], False)
    if backups_due:
        looked_at_backups = now

    def is_unknown(key: str) -> bool:
        of_unseen = _of_backup(key) and not backups_seen
        return tiers.unknown(key) or (of_unseen and all(finding.key != key for finding in of_backups))

    findings = [*of_dagster, *tiers.findings, *of_backups]
    done = _notify(context, environment, findings, now, is_unknown)
    cursor = json.dumps({"looked": now, "backups": looked_at_backups})
    return dg.SensorResult(skip_reason=_summary(done), cursor=cursor)


def _judge_tiers(live: LiveTier, archive: ArchiveTier, intake: IntakeStore) -> TierFindings:
    try:
        with live.for_sensor() as client, archive.for_sensor() as database:
            return judge_tiers(client, database, intake.open(), datetime.now(UTC))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here, alerts about failed runs are still sent
        message = str(error) if isinstance(error, TradingDataError) else f"{type(error).__name__}: {error}"
        return unobservable(
            Finding(
                key=LOOK,
                severity=ERROR,
                message=message,
                command="trading-data doctor",
                priority=990,
                time_to_impact=0.0,
            )
        )


def _of_backup(key: str) -> bool:
    return key.startswith("backup_")


def _of_backups(environment: Environment, now: float) -> tuple[list[Finding], bool]:
    """What is wrong with the backups, and whether they could be read; if not, open alerts about them stay open."""
    try:
        findings, _ = look_at_backups(environment.settings.backup_uri, datetime.fromtimestamp(now, UTC))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong with backups, all other alerts are still sent
        findings = [unknown(error)]
    return findings, all(finding.key != UNKNOWN for finding in findings)


def _of_dagster(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey], now: float, environment: Environment
) -> list[Finding]:
    moment, ui_url = datetime.fromtimestamp(now, UTC), environment.ui_url
    return [
        *failed_runs(instance, ALL_JOBS, moment, ui_url=ui_url),
        *red_checks(instance, checks),
        *stuck_runs(instance, moment, ui_url),
        *switched(instance, environment.variables),
        *large_storage(instance),
    ]


def _notify(
    context: dg.SensorEvaluationContext,
    environment: Environment,
    findings: list[Finding],
    now: float,
    is_unknown: Callable[[str], bool],
) -> NotifyResult:
    """One round of alerts. A malformed setting is a finding; the channels that it does not concern are used."""
    settings = AlertSettings.from_env(environment.variables)
    moment = datetime.fromtimestamp(now, UTC)

    def ended(since: float) -> list[Finding]:
        failed_since = datetime.fromtimestamp(since, UTC)
        return ended_failures(context.instance, ALL_JOBS, moment, failed_since, ui_url=environment.ui_url)

    return notify(
        StorageMemory(context.instance.daemon_cursor_storage),
        channels(settings, context.log),
        [*findings, *wrong_settings(settings)],
        now,
        settings.every,
        is_unknown,
        context.log,
        ended,
    )


def _standing(book: NotifierState) -> str:
    """The open alerts: sent in this tick, sent earlier, or impossible to judge now."""
    names = book.standing()
    return (
        f"{len(names)} wrong: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else "nothing is wrong"
    )


def _summary(done: NotifyResult) -> str:
    sent = [f"{count} by {name}" for name, count in done.delivered.items()]
    failed = [f"not by {name} ({why})" for name, why in done.failed.items()]
    return "; ".join([_standing(done.book), *([f"sent {', '.join(sent)}"] if sent else []), *failed])[:1000]
