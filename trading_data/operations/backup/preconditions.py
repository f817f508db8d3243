"""Whether a backup covers a chunk: what retention asks before it drops one whose dataset wants that.

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

    It says None while there is no backup of this database. Where the dataset declares `drop_needs_drill`, the backup must have
    been restored without a difference. Targets and the archive are asked only when a chunk is.

    Raises (when asked):
        BackupError: the target cannot be read.
        ArchiveTierError: the archive is away.
    """

    @cache
    def newest(*, drilled: bool) -> Backup | None:
        with archive.transaction(snapshot=True) as cursor:
            mine = tables.identity(cursor)
        ours = (
            complete_backup
            for complete_backup in complete_backups(uri)
            if complete_backup.manifest and mine and complete_backup.manifest.database == mine
        )
        return next((our for our in ours if our.drilled or not drilled), None)

    def covered(dataset: Dataset, chunk: Chunk) -> bool | None:
        backup = newest(drilled=dataset.drop_needs_drill)
        if backup is None or backup.manifest is None:
            return None
        noted = backup.manifest.timescale["chunks"].get(dataset.table, ())
        bounds = (utc(chunk.start).isoformat(), utc(chunk.end).isoformat())
        mine = [one for one in noted if (one["start"], one["end"]) == bounds]
        if not mine:
            return False
        with archive.transaction(snapshot=True) as cursor:
            rows, digest = fingerprint_of_rows(cursor, dataset, chunk.start, chunk.end)
        return [(one["rows"], one["hash"]) for one in mine] == [(rows, digest)]

    return covered
