"""Thresholds of the flow from the live tier to the archive, and of backups.

Belongs here: limits and words. Does not: measuring (`operations.health.pipeline`).
"""

from trading_data.archive.verify.lost import acknowledge_command
from trading_data.datasets import DATASETS
from trading_data.operations.health.thresholds import (
    ARCHIVE,
    DRILL,
    ERROR,
    REFRESH,
    Threshold,
    full_in,
    impact_now,
    its_own_value,
    one_limit,
    two_limits,
)

BACKUPS: tuple[Threshold, ...] = (
    one_limit(
        "backup_drill_failed",
        "flow.backup.drill_failed",
        "the last restore drill failed: the backup could not be restored, or the restored data differ from it",
        "trading-data backup",
        limit=0,
        severity=ERROR,
        priority=640,
    ),
    one_limit(
        "backup_missing",
        "flow.backup.missing",
        "there is no backup: data lost now cannot be restored",
        "trading-data backup",
        limit=0,
        priority=560,
        subject="backup",
    ),
    one_limit(
        "backup_old",
        "flow.backup.age",
        "the newest backup is more than {limit} old (now {value})",
        "trading-data backup",
        limit=26 * 3600,
        priority=540,
    ),
    one_limit(
        "backup_never_drilled",
        "flow.backup.missing",
        "no backup was ever restored in a drill: it is not known whether one can be",
        DRILL,
        limit=0,
        priority=430,
        subject="drill",
    ),
    one_limit(
        "backup_drill_old",
        "flow.backup.drill_age",
        "the last restore drill that found everything equal is more than {limit} ago (now {value})",
        DRILL,
        limit=8 * 86_400,
        priority=420,
    ),
)
"""Of `operations.backup.metrics.measure_backups`."""


FRESHNESS, FULL, LOST = "freshness", "memory_full_soon", "journal_lost"
FLOW: tuple[Threshold, ...] = (
    *(
        one_limit(
            LOST,
            "flow.journal.lost",
            "{value} {subject} {many:entry/entries} or more {many:is/are} lost: {about}",
            acknowledge_command(dataset),
            limit=0,
            severity=ERROR,
            priority=920,
            subject=dataset.name,
            time_to_impact=impact_now,
            stays=True,
        )
        for dataset in DATASETS.values()
    ),
    one_limit(
        "batch_damaged",
        "flow.batches.damaged",
        "{value} {subject} {many:batch/batches} in the intake cannot be read, and no {subject} entry is archived "
        "until {many:it is/they are} repaired or moved away: {about}",
        "trading-data verify",
        limit=0,
        severity=ERROR,
        priority=760,
        stays=True,
    ),
    *two_limits(
        FULL,
        "flow.memory.full_in",
        "the live tier {subject} will be full in {value} at its present growth; then it refuses writes",
        ARCHIVE,
        warn=3600,
        error=600,
        priority=(630, 930),
        under=True,
        time_to_impact=its_own_value,
    ),
    *two_limits(
        "journal_lag",
        "flow.journal.oldest",
        "the oldest {subject} entry that is not archived has waited for more than {limit} (now {value})",
        ARCHIVE,
        warn=1800,
        error=7200,
        priority=(450, 750),
        time_to_impact=full_in,
    ),
    *two_limits(
        "batches_waiting",
        "flow.batches.oldest",
        "a {subject} batch has waited in the intake for more than {limit} (now {value})",
        ARCHIVE,
        warn=1800,
        error=7200,
        priority=(440, 740),
    ),
    one_limit(
        "quarantine",
        "flow.quarantine.waiting",
        "{value} rejected {subject} {many:entry waits/entries wait} for a decision",
        "trading-data quarantine list",
        limit=0,
        priority=430,
    ),
    one_limit(
        "refreshes_waiting",
        "flow.refreshes.oldest",
        "changed {subject} rows have been missing from their aggregates for more than {limit} (now {value})",
        REFRESH,
        limit=3600,
        priority=320,
    ),
    one_limit(
        "clock_ahead",
        "flow.archived.age",
        "the newest {subject} row is more than five minutes in the future: a producer's clock is ahead",
        "trading-data coverage",
        limit=-300,
        under=True,
        priority=300,
    ),
    *(
        one_limit(
            FRESHNESS,
            "flow.archived.stale",
            "the newest {subject} row in the archive is {value} old{about}; it should be at most {limit} old",
            "trading-data status",
            limit=dataset.freshness.total_seconds(),
            priority=460,
            subject=dataset.name,
        )
        for dataset in DATASETS.values()
    ),
)
