"""One look at everything: both tiers, schema, drift, intake, backups, Dagster, alerts.

A part that does not answer is a finding, never an error: the page comes whatever is down.

Belongs here: putting the parts together. Does not: any part.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trading_data import __version__
from trading_data.archive.database import Archive
from trading_data.archive.schema.drift import archive_drift
from trading_data.archive.schema.migrate import check_encoding, check_schema
from trading_data.errors import IntakeError, SettingError, TradingDataError, WrongEncoding
from trading_data.intake.store import BatchFile, Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.alerts.message import dataset_of, hide_secrets
from trading_data.operations.alerts.settings import AlertSettings, wrong_settings
from trading_data.operations.backup.metrics import look_at_backups
from trading_data.operations.health.collect import away_finding, findings, measure_all
from trading_data.operations.health.metric import offered
from trading_data.operations.health.rules import ARCHIVE_AWAY, ARCHIVE_REFUSES, LIVE_AWAY, LIVE_REFUSES, THRESHOLDS
from trading_data.operations.health.thresholds import ERROR, WARN, Finding, in_order
from trading_data.operations.status import archive_version, live_version
from trading_data.printable import counted
from trading_data.settings import Settings

DRIFT, INTAKE = "drift", "intake"
_JSON_NAMES = {"subject": "of", "priority": "harm", "time_to_impact": "hurts_in"}
"""Names in `doctor --json` that are not those of `Finding`'s fields: programs read them."""
PATIENCE = 5
"""Seconds for connecting to anything."""
_NO_ARCHIVE = {ARCHIVE_AWAY.key, ARCHIVE_REFUSES.key}
_NOBODY_LIVE = "unix:///nonexistent"
_NOBODY_ARCHIVE = "postgresql+psycopg2:///none?host=/nonexistent"
_NOBODY_INTAKE = "/nonexistent"
"""Addresses without a server or files, for parts that have no address."""


@dataclass(frozen=True)
class DoctorReport:
    """What is wrong, in order of priority, and what was looked at."""

    findings: list[Finding]
    facts: list[str]

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        findings = [
            {
                **{_JSON_NAMES.get(name, name): value for name, value in vars(finding).items()},
                "message": hide_secrets(finding.message),
                "dataset": dataset_of(finding) or None,
            }
            for finding in self.findings
        ]
        return {"wrong": bool(self.findings), "findings": findings, "facts": self.facts}


Part = tuple[list[Finding], list[str]]


def examine(settings: Settings, now: datetime, dagster: Callable[[], Part] | None = None) -> DoctorReport:
    """Look at everything.

    Args:
        settings: with the addresses of what runs.
        now: aware.
        dagster: examines Dagster's instance; None where there is none.
    """
    intake = _opened(settings.intake_uri)
    parts: list[Callable[[], Part]] = [
        lambda: _tiers(settings, intake or Intake(_NOBODY_INTAKE), now),
        lambda: _intake(settings.intake_uri, intake),
        lambda: look_at_backups(settings.backup_uri, now),
        dagster or _no_dagster,
        _alerts,
    ]
    by_key: dict[str, Finding] = {}
    facts = [f"trading_data {__version__}"]
    for part in parts:
        findings, lines = part()
        by_key = {finding.key: finding for finding in findings} | by_key
        facts += lines
    return DoctorReport(in_order(by_key.values()), facts)


def _no_dagster() -> Part:
    return [], ["no instance of Dagster is configured here (DAGSTER_HOME)"]


def _tiers(settings: Settings, intake: Intake, now: datetime) -> Part:
    client = connect_for_archiver(settings.redis_url or _NOBODY_LIVE, timeout=PATIENCE)
    archive = Archive(settings.timescale_url or _NOBODY_ARCHIVE, connect_timeout=PATIENCE, statement="60s")
    with closing(client), closing(archive):
        measured = measure_all(client, archive, intake, now)
        by_key = {finding.key: finding for finding in findings(measured)}
        by_key |= {finding.key: finding for finding in _without_address(settings)}
        facts = [
            f"{counted(len(offered(measured)), 'figure')} measured, {counted(len(THRESHOLDS), 'threshold')} judged"
        ]
        if not {LIVE_AWAY.key, LIVE_REFUSES.key} & by_key.keys():
            facts.append(f"live tier: {live_version(client)}, {settings.redis_url}")
        if not _NO_ARCHIVE & by_key.keys():
            by_key |= {finding.key: finding for finding in _schema(archive)}
        if not _NO_ARCHIVE & by_key.keys():  # nor has it stopped answering meanwhile
            facts.append(
                f"archive tier: {archive_version(archive)}, {(settings.timescale_url or '').replace('+psycopg2', '', 1)}"
            )
    return list(by_key.values()), [hide_secrets(fact) for fact in facts]


def _without_address(settings: Settings) -> Iterator[Finding]:
    """Findings for tiers without a URL; they replace those that the tier does not answer."""
    for tier, ask in (("redis", settings.require_redis_url), ("timescale", settings.require_timescale_url)):
        try:
            ask()
        except SettingError as error:
            yield away_finding(tier, error)


def _schema(archive: Archive) -> Iterator[Finding]:
    """What is wrong with the database of an archive that answers, and with its tables."""
    try:
        check_encoding(archive)
        check_schema(archive)
        yield from _drift(archive_drift(archive))
    except WrongEncoding as error:
        yield replace(away_finding("timescale", error), command=error.command)
    except TradingDataError as error:
        yield away_finding("timescale", error)


def _drift(lines: list[str]) -> Iterator[Finding]:
    if lines:
        count = float(len(lines))
        yield Finding(
            DRIFT, WARN, "; ".join(lines), "trading-data status", value=count, limit=0.0, unit="count", priority=400
        )


def _opened(uri: str) -> Intake | None:
    """The intake; None if its URI cannot be opened."""
    try:
        return Intake(uri)
    except (ImportError, ValueError, OSError):
        return None


def _intake(uri: str, intake: Intake | None) -> Part:
    """Write a byte and remove it: only that proves that a batch could be written."""
    command = "trading-data status"
    if intake is None:
        message = f"TRADING_DATA_INTAKE_URI names {hide_secrets(uri)}, which cannot be opened: correct it, or install what opens it"
        return [Finding(INTAKE, ERROR, message, command, time_to_impact=0.0, priority=820)], []
    try:
        path = intake.write(f"doctor/probe-{os.getpid()}", b".", "a probe", "nothing was in it")
        intake.delete(BatchFile(0, "", path))
    except (IntakeError, OSError) as error:
        return [Finding(INTAKE, ERROR, str(error), command, time_to_impact=0.0, priority=820)], []
    return [], [f"intake: {hide_secrets(uri)} takes writes"]


def _alerts() -> Part:
    settings = AlertSettings.from_env()
    channels = [f"the webhook {settings.webhook.shown}"] if settings.webhook else []
    channels += [f"mail by {settings.email.shown}"] if settings.email else []
    channels += [url.partition("://")[0] for url in settings.urls]
    names = " and ".join(["the log", *channels])
    return wrong_settings(settings), [f"alerts go to {names}, repeated every {settings.every / 60:.0f} min"]
