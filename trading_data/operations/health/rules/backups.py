"""Thresholds of backups and drills.

Belongs here: limits and words. Does not: measuring (`operations.backup.metrics`).
"""

from trading_data.operations.health.rules.forms import DRILL, single
from trading_data.operations.health.thresholds import ERROR, Threshold

BACKUPS: tuple[Threshold, ...] = (
    single(
        "backup_drill_failed",
        "flow.backup.drill_failed",
        "the last restore drill failed: the backup could not be restored, or came back otherwise than it was",
        "trading-data backup",
        limit=0,
        severity=ERROR,
        harm=640,
    ),
    single(
        "backup_missing",
        "flow.backup.missing",
        "there is no backup: what is lost now is lost for good",
        "trading-data backup",
        limit=0,
        harm=560,
        of="backup",
    ),
    single(
        "backup_old",
        "flow.backup.age",
        "the newest backup is more than {limit} old (now {value})",
        "trading-data backup",
        limit=26 * 3600,
        harm=540,
    ),
    single(
        "backup_never_drilled",
        "flow.backup.missing",
        "no backup was ever restored in a drill: nobody knows whether one can be",
        DRILL,
        limit=0,
        harm=430,
        of="drill",
    ),
    single(
        "backup_drill_old",
        "flow.backup.drill_age",
        "the last restore drill that found everything equal is more than {limit} ago (now {value})",
        DRILL,
        limit=8 * 86_400,
        harm=420,
    ),
)
"""Of `operations.backup.metrics.measure_backups`."""
