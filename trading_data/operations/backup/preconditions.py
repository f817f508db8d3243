"""Whether a backup covers a chunk, which some datasets require before retention drops it.

Belongs here: comparing a chunk with the newest backup of this very database. Does not: dropping
(`operations.maintenance.retention`).
"""

from functools import cache

from trading_data.archive.aggregates.compare import fingerprint_of_rows
from trading_data.archive.chunks import Chunk
from trading_data.archive.database import Archive
from trading_data.datasets.declaration import Dataset
from trading_data.operations.backup import tables
from trading_data.operations.backup.manifest import Backup, complete_backups
from trading_data.operations.maintenance.retention import Covered
from trading_data.times import utc


def covered_by_backups(archive: Archive, uri: str) -> Covered:
    """For `plan` and `retain`: whether the newest complete backup of this database holds a chunk as it is now.

    The function returns None while there is no backup of this database. If the dataset declares `drop_needs_drill`, the backup must
    have been restored without a difference. Target and archive are read on the first call.

    Raises (the function):
        BackupError: the target cannot be read.
        ArchiveTierError: the archive does not answer.
    """

    @cache
    def newest(*, drilled: bool) -> Backup | None:
        with archive.transaction(snapshot=True) as cursor:
            identity = tables.identity(cursor)
        ours = (
            backup
            for backup in complete_backups(uri)
            if backup.manifest and identity and backup.manifest.database == identity
        )
        return next((backup for backup in ours if backup.drilled or not drilled), None)

    def covered(dataset: Dataset, chunk: Chunk) -> bool | None:
        backup = newest(drilled=dataset.drop_needs_drill)
        if backup is None or backup.manifest is None:
            return None
        backed_up = backup.manifest.timescale["chunks"].get(dataset.table, ())
        bounds = (utc(chunk.start).isoformat(), utc(chunk.end).isoformat())
        entries = [entry for entry in backed_up if (entry["start"], entry["end"]) == bounds]
        if not entries:
            return False
        with archive.transaction(snapshot=True) as cursor:
            rows, digest = fingerprint_of_rows(cursor, dataset, chunk.start, chunk.end)
        return [(entry["rows"], entry["hash"]) for entry in entries] == [(rows, digest)]

    return covered
