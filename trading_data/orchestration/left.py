"""How much is left to archive: what schedules and sensors look at before they request a run."""

from datetime import datetime, timedelta

import dagster as dg

from trading_data.archive.database import Archive
from trading_data.archive.ledger import archived_ranges
from trading_data.datasets import DATASETS
from trading_data.errors import ArchiveTierError
from trading_data.intake.backlog import Backlog, backlog
from trading_data.intake.store import Intake
from trading_data.live.connection import Client
from trading_data.live.journal import find_journals
from trading_data.printable import counted, noun

PAUSE = timedelta(minutes=10)
"""If no archive run has begun for so long, there was nothing to archive, or the system was down."""
_YEAR = timedelta(days=366)


def total_backlog(client: Client, store: Intake, archive: Archive) -> Backlog:
    """What an archive run would take now, over all datasets. While the archive is away, the notes in Redis stand in for it.

    Raises:
        LiveTierError: the live tier is away.
        IntakeError: the intake cannot be listed, or a batch is damaged.
    """
    total = Backlog()
    for dataset in DATASETS.values():
        try:
            archived = archived_ranges(archive, dataset, find_journals(client, dataset))
        except ArchiveTierError:
            archived = None
        total += backlog(client, store, dataset, archived)
    return total


def backlog_line(total: Backlog) -> str:
    """A backlog in words."""
    parts = [
        counted(total.entries, "entry", "entries") if total.entries else "",
        counted(total.values, "value without an entry", "values without an entry") if total.values else "",
        counted(total.batches, "batch", "batches") if total.batches else "",
    ]
    waits = noun(total.entries + total.values + total.batches, "waits", "wait")
    return f"{' and '.join(part for part in parts if part)} {waits}"


def ticks_around(cron: str, moment: datetime) -> tuple[datetime, datetime]:
    """The last tick of a cron expression (UTC) at or before a moment, and the next; the expression ticks at least once a year."""
    ticks = dg.TimeWindowPartitionsDefinition(
        start=moment - _YEAR, cron_schedule=cron, fmt="%Y-%m-%d %H:%M", end_offset=1
    )
    with dg.partition_loading_context(effective_dt=moment):
        window = ticks.time_window_for_partition_key(str(ticks.get_last_partition_key()))
    return window.start, window.end
