"""The sensor that watches and tells: once a minute it gathers what is wrong and tells each channel what is due.

It asks Dagster for failed and stuck runs and red checks, and looks at both tiers itself, so that a health job that is dead
silences nobody. A tier that is away is one of its findings and no failed tick; so is a channel that does not deliver.

Belongs here: the sensor. Does not: what is wrong (`findings`, `health`), and telling (`alerts`).
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import dagster as dg

from trading_data.errors import TradingDataError
from trading_data.operations.alerts.channels import channels
from trading_data.operations.alerts.notify import Book, NotifyResult, Watched, blind, tell, watch
from trading_data.operations.alerts.settings import AlertSettings, wrong_settings
from trading_data.operations.alerts.store import StorageMemory
from trading_data.operations.health.thresholds import ERROR, Finding
from trading_data.orchestration.declared import ALL_JOBS, sensor_status
from trading_data.orchestration.resources import ArchiveTier, IntakeStore, LiveTier
from trading_data.orchestration.run_findings import (
    ended_failures,
    failed_runs,
    large_storage,
    red_checks,
    stuck_runs,
    switched,
)
from trading_data.settings import Settings

LOOK_EVERY = 50.0
"""A tick sooner than that after the last look only says so."""
BACKUPS_EVERY = 600.0
"""Seconds between two looks at the backups: their manifests are long, and their limits are hours."""
LOOK = "look"


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=sensor_status("alert_sensor"),
    description="Tell webhook, mail, services and log what is wrong, and when it is over: failed and stuck runs, red checks, "
    "thresholds crossed, a tier that is away.",
)
def alert_sensor(
    context: dg.SensorEvaluationContext, live: LiveTier, archive: ArchiveTier, intake: IntakeStore
) -> dg.SensorResult:
    """One look and one round of telling; asks for no run."""
    now = time.time()
    remembered: dict[str, float] = json.loads(context.cursor or "{}")
    ago = now - remembered.get("looked", 0.0)
    if 0 <= ago < LOOK_EVERY:
        stands = _standing(Book.load(StorageMemory(context.instance.daemon_cursor_storage).load()))
        said = f"{stands}; looked {ago:.0f} s ago, once a minute is enough"
        return dg.SensorResult(skip_reason=said, cursor=context.cursor)
    checks = [] if context.repository_def is None else context.repository_def.asset_graph.asset_check_keys
    watched = _look(live, archive, intake)
    looked_at_backups = remembered.get("backups", 0.0)
    backups_due = not 0 <= now - looked_at_backups < BACKUPS_EVERY
    found = [*_of_dagster(context.instance, checks, now), *watched.findings]
    of_backups, backups_seen = _of_backups(now) if backups_due else ([], False)
    found += of_backups
    if backups_due:
        looked_at_backups = now

    def unknown(key: str) -> bool:
        of_unseen = key.startswith("backup_") and not backups_seen
        return watched.unknown(key) or (of_unseen and all(of_backup.key != key for of_backup in of_backups))

    done = _tell(context, found, now, unknown)
    cursor = json.dumps({"looked": now, "backups": looked_at_backups})
    return dg.SensorResult(skip_reason=_said(done), cursor=cursor)


def _look(live: LiveTier, archive: ArchiveTier, intake: IntakeStore) -> Watched:
    try:
        with live.for_sensor() as client, archive.for_sensor() as database:
            return watch(client, database, intake.open(), datetime.now(UTC))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in looking, failed runs are still told
        said = str(error) if isinstance(error, TradingDataError) else f"{type(error).__name__}: {error}"
        return blind(
            Finding(key=LOOK, severity=ERROR, message=said, command="trading-data doctor", harm=990, hurts_in=0.0)
        )


def _of_backups(now: float) -> tuple[list[Finding], bool]:
    """What is wrong with the backups, and whether they could be looked at: else what was wrong is not over."""
    from trading_data.operations.backup.metrics import UNKNOWN, look_at_backups, unknown

    try:
        found, _ = look_at_backups(Settings.from_env().backup_uri, datetime.fromtimestamp(now, UTC))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong with backups, everything else is still told
        found = [unknown(error)]
    return found, all(one.key != UNKNOWN for one in found)


def _of_dagster(instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey], now: float) -> list[Finding]:
    moment = datetime.fromtimestamp(now, UTC)
    return [
        *failed_runs(instance, ALL_JOBS, moment),
        *red_checks(instance, checks),
        *stuck_runs(instance, moment),
        *switched(instance),
        *large_storage(instance),
    ]


def _tell(
    context: dg.SensorEvaluationContext, found: list[Finding], now: float, unknown: Callable[[str], bool]
) -> NotifyResult:
    """One round; a setting of a wrong form is a finding, and the channels that it does not concern are used."""
    settings = AlertSettings.from_env()
    moment = datetime.fromtimestamp(now, UTC)
    return tell(
        StorageMemory(context.instance.daemon_cursor_storage),
        channels(settings, context.log),
        [*found, *wrong_settings(settings)],
        now,
        settings.every,
        unknown,
        context.log,
        lambda since: ended_failures(context.instance, ALL_JOBS, moment, datetime.fromtimestamp(since, UTC)),
    )


def _standing(book: Book) -> str:
    """What stands, whether it was told in this tick, earlier, or cannot be judged now."""
    names = book.standing()
    return (
        f"{len(names)} wrong: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else "nothing is wrong"
    )


def _said(done: NotifyResult) -> str:
    told = [f"{count} by {name}" for name, count in done.delivered.items()]
    failed = [f"not by {name} ({why})" for name, why in done.failed.items()]
    return "; ".join([_standing(done.book), *([f"told {', '.join(told)}"] if told else []), *failed])[:1000]
