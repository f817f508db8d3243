"""Figures of the flow about backups: the ages of the newest backup and of the last restore drill."""

from datetime import datetime

from trading_data.errors import BackupError, TradingDataError
from trading_data.operations.backup.manifest import backups, complete_backups
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.rules import BACKUPS
from trading_data.operations.health.thresholds import WARN, Finding, judge
from trading_data.printable import counted, span

AGE = "flow.backup.age"
DRILL_AGE = "flow.backup.drill_age"
DRILL_FAILED = "flow.backup.drill_failed"
MISSING = "flow.backup.missing"
"""1 if there is no backup at all, or none that was ever drilled (`subject` says which), so that thresholds can judge it."""


def measure_backups(uri: str, now: datetime) -> Figures:
    """`flow.backup.age` and `flow.backup.drill_age` in seconds, `flow.backup.drill_failed` and `flow.backup.missing` 0 or 1."""
    try:
        complete = complete_backups(uri)
    except BackupError as error:
        reason = " ".join(str(error).split())
        return Figures(tuple(Metric(name, None, "s", not_offered=reason) for name in (AGE, DRILL_AGE)))
    newest = complete[0] if complete else None
    drills = [backup.drill for backup in complete if backup.drill is not None]
    last_drill = max(drills, key=lambda drill: drill.at, default=None)
    last_success = max((drill.at for drill in drills if drill.ok), default=None)
    return Figures(
        (
            Metric(
                AGE, newest.age(now).total_seconds() if newest else None, "s", not_offered="" if newest else "no backup"
            ),
            Metric(
                DRILL_AGE,
                (now - last_success).total_seconds() if last_success else None,
                "s",
                not_offered="" if last_success else "never drilled",
            ),
            Metric(DRILL_FAILED, float(last_drill is not None and not last_drill.ok), "count"),
            Metric(MISSING, float(newest is None), "count", subject="backup"),
            Metric(MISSING, float(last_success is None), "count", subject="drill"),
        )
    )


UNKNOWN = "backup_unknown"


def unknown(error: Exception) -> Finding:
    """The finding that the backups could not be listed."""
    reason = " ".join(str(error).split()) if isinstance(error, TradingDataError) else f"{type(error).__name__}: {error}"
    return Finding(UNKNOWN, WARN, reason, "trading-data backup --list", priority=560)


def look_at_backups(uri: str, now: datetime) -> tuple[list[Finding], list[str]]:
    """What is wrong with the backups under `uri`, and a line about what there is."""
    try:
        found_backups = backups(uri)
    except BackupError as error:
        return [unknown(error)], []
    newest = next((backup for backup in found_backups if backup.complete), None)
    facts = [counted(sum(backup.complete for backup in found_backups), "complete backup")]
    if newest is not None:
        proven = "restored in a drill" if newest.drilled else "not proven by a drill"
        facts = [f"{facts[0]}, the newest {span(newest.age(now).total_seconds())} old, {proven}"]
    return judge(BACKUPS, measure_backups(uri, now)), facts
