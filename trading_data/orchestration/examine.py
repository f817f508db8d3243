"""Dagster's part of `trading-data doctor`: storage, daemon, runs, checks, switches, alerts that did not arrive."""

from datetime import datetime
from pathlib import Path

import dagster as dg

from trading_data.errors import ServerError
from trading_data.operations.alerts.notify import NotifierState, undelivered
from trading_data.operations.alerts.state import StorageMemory
from trading_data.operations.health.thresholds import ERROR, Finding
from trading_data.orchestration.declared import ALL_JOBS, declared_checks
from trading_data.orchestration.private import CheckError
from trading_data.orchestration.run_findings import (
    failed_runs,
    failed_since,
    large_storage,
    red_checks,
    silent_daemons,
    stuck_runs,
    switched,
)
from trading_data.orchestration.storage import instance_of
from trading_data.printable import counted
from trading_data.settings import DAGSTER_URL, Settings

STORAGE = "dagster_away"


def examine_instance(settings: Settings, home: Path, now: datetime) -> tuple[list[Finding], list[str]]:
    """What is wrong by the records of the instance in `home`, and what was examined; a storage that is away is a finding."""
    if settings.dagster_url is None and DAGSTER_URL in (home / "dagster.yaml").read_text(encoding="utf-8"):
        return [
            _away(f"it has no address: {DAGSTER_URL} is not set and no embedded server runs in {settings.home}")
        ], []
    try:
        with instance_of(home, settings) as instance:
            return _examine(instance, settings.ui_url, now)
    except (ServerError, dg.DagsterError, CheckError) as error:
        return [_away(str(error))], []


def last_minute(settings: Settings, home: Path, since: datetime) -> tuple[list[str], list[str]]:
    """The keys of the open alerts, the most harmful first, and the jobs of the runs that failed after `since`.

    Raises:
        ServerError: Dagster's storage does not answer.
    """
    with instance_of(home, settings) as instance:
        book = NotifierState.load(StorageMemory(instance.daemon_cursor_storage).load())
        return book.standing(), failed_since(instance, since)


def _away(reason: str) -> Finding:
    message = reason if reason.startswith("Dagster's") else f"Dagster's storage cannot be read: {reason}"
    return Finding(STORAGE, ERROR, message, "trading-data services start", time_to_impact=0.0, priority=860)


def _examine(instance: dg.DagsterInstance, ui_url: str, now: datetime) -> tuple[list[Finding], list[str]]:
    checks = declared_checks()
    daemon = silent_daemons(instance, now)
    findings = [
        *daemon,
        *failed_runs(instance, ALL_JOBS, now, ui_url=ui_url),
        *stuck_runs(instance, now, ui_url),
        *red_checks(instance, checks),
        *switched(instance),
        *large_storage(instance),
        *undelivered(NotifierState.load(StorageMemory(instance.daemon_cursor_storage).load())),
    ]
    running = [] if daemon else ["Dagster's daemon runs"]
    return findings, [*running, f"{counted(len(ALL_JOBS), 'job')} and {counted(len(checks), 'check')} examined"]
