"""How old the newest backup and the last restore drill are, as figures of the flow.

Belongs here: measuring. Does not: thresholds (`operations.health.rules`).
"""

from datetime import datetime

from trading_data.errors import BackupError, TradingDataError
from trading_data.operations.backup.manifest import backups, complete_backups
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.rules import BACKUPS
from trading_data.operations.health.thresholds import WARN, Finding, judge

AGE = "flow.backup.age"
DRILL_AGE = "flow.backup.drill_age"
DRILL_FAILED = "flow.backup.drill_failed"
MISSING = "flow.backup.missing"
"""1 where there is no backup at all, or none that was ever drilled (`of` says which), so that this can be judged."""


def measure_backups(uri: str, now: datetime) -> Figures:
    """`flow.backup.age` and `flow.backup.drill_age` in seconds, `flow.backup.drill_failed` and `flow.backup.missing` 0 or 1."""
    try:
        whole = complete_backups(uri)
    except BackupError as error:
        why = " ".join(str(error).split())
        return Figures(tuple(Metric(name, None, "s", not_offered=why) for name in (AGE, DRILL_AGE)))
    newest = whole[0] if whole else None
    drills = [one.drill for one in whole if one.drill is not None]
    last = max(drills, key=lambda drill: drill.at, default=None)
    good = max((drill.at for drill in drills if drill.ok), default=None)
    return Figures(
        (
            Metric(
                AGE, newest.age(now).total_seconds() if newest else None, "s", not_offered="" if newest else "no backup"
            ),
            Metric(
                DRILL_AGE,
                (now - good).total_seconds() if good else None,
                "s",
                not_offered="" if good else "never drilled",
            ),
            Metric(DRILL_FAILED, float(last is not None and not last.ok), "count"),
            Metric(MISSING, float(newest is None), "count", of="backup"),
            Metric(MISSING, float(good is None), "count", of="drill"),
        )
    )


UNKNOWN = "backup_unknown"


def unknown(error: Exception) -> Finding:
    """That the backups could not be looked at, and why."""
    said = " ".join(str(error).split()) if isinstance(error, TradingDataError) else f"{type(error).__name__}: {error}"
    return Finding(UNKNOWN, WARN, said, "trading-data backup --list", harm=560)


def look_at_backups(uri: str, now: datetime) -> tuple[list[Finding], list[str]]:
    """What is wrong with the backups under `uri`, and what there is."""
    try:
        every = backups(uri)
    except BackupError as error:
        return [unknown(error)], []
    newest = next((one for one in every if one.complete), None)
    facts = [f"{sum(one.complete for one in every):,} complete backups"]
    if newest is not None:
        proven = "restored in a drill" if newest.drilled else "not proven by a drill"
        facts = [f"{facts[0]}, the newest {newest.age(now).total_seconds() / 3600:,.1f} h old, {proven}"]
    return judge(BACKUPS, measure_backups(uri, now)), facts
