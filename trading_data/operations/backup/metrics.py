"""How old the newest backup and the last restore drill are, as figures of the flow.

Belongs here: measuring. Does not: thresholds (`operations.health.rules`).
"""

from datetime import datetime

from trading_data.errors import BackupError
from trading_data.operations.backup.listing import complete_backups
from trading_data.operations.health.metric import Figure, Figures

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
        return Figures(tuple(Figure(name, None, "s", not_offered=why) for name in (AGE, DRILL_AGE)))
    newest = whole[0] if whole else None
    drills = [one.drill for one in whole if one.drill is not None]
    last = max(drills, key=lambda one: one.at, default=None)
    good = max((one.at for one in drills if one.ok), default=None)
    return Figures(
        (
            Figure(
                AGE, newest.age(now).total_seconds() if newest else None, "s", not_offered="" if newest else "no backup"
            ),
            Figure(
                DRILL_AGE,
                (now - good).total_seconds() if good else None,
                "s",
                not_offered="" if good else "never drilled",
            ),
            Figure(DRILL_FAILED, float(last is not None and not last.ok), "count"),
            Figure(MISSING, float(newest is None), "count", of="backup"),
            Figure(MISSING, float(good is None), "count", of="drill"),
        )
    )
