"""Restores a backup: everything is checked first, then the archive, the intake and the live tier are restored and compared.

The archive is first and the live tier last, since producers begin to write as soon as it answers.

Belongs here: the order, and the comparison with the manifest. Does not: checks before (`check`), and how a tier is restored.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import IO, Any, Literal

from trading_data.archive.database import Archive
from trading_data.datasets import TABLES
from trading_data.errors import BackupError
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, live_errors
from trading_data.operations.backup import keys, tables
from trading_data.operations.backup.check import (
    check_archive,
    check_files,
    check_intake,
    check_live,
    check_release,
    check_whole,
    manifest_of,
)
from trading_data.operations.backup.dump import make_database, make_room, restore_dump
from trading_data.operations.backup.manifest import DUMP, Backup, Manifest
from trading_data.operations.backup.redis_restore import copy_keys
from trading_data.operations.backup.scratch_server import scratch_server
from trading_data.operations.backup.streams import StoredFile, fetch, identities_for
from trading_data.operations.backup.target import BackupFolder
from trading_data.printable import counted
from trading_data.times import now

Tier = Literal["both", "redis", "timescale"]
Report = Callable[[str], None]


class Differs(BackupError):
    """The restored data differ from the manifest; `differences` has a line for each table, chunk, kind and journal."""

    def __init__(self, where: str, differences: Sequence[str]) -> None:
        """The message names the tier and the first differences."""
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        super().__init__(
            f"{where} was restored and differs from the manifest: {shown}. Do not use it; take another backup"
        )
        self.differences = tuple(differences)


@dataclass(frozen=True)
class Restored:
    """What was restored: keys, rows, batches; the age of the backup, and the seconds for `check`, `timescale`, `redis`."""

    name: str
    keys: int
    rows: int
    batches: int
    recovery_point: timedelta
    seconds: dict[str, float]


def restore(
    backup: Backup,
    *,
    client: Client | None,
    timescale_url: str | None,
    intake: Intake | None,
    tier: Tier = "both",
    into_non_empty: bool = False,
    report: Report = lambda _: None,
) -> Restored:
    """Restore a backup, and compare the result with its manifest.

    The intake's batches are restored with the archive, which may have loaded them only after the dump.

    Args:
        backup: from `manifest.chosen`.
        client: of the live tier, from `connect_for_archiver`; not used for the tier `timescale`.
        timescale_url: of the database; it is created if missing; not used for the tier `redis`.
        intake: where batches wait; not used for the tier `redis`.
        tier: what to restore.
        into_non_empty: first delete what the target holds; rows of another database are never deleted.
        report: called with a line for each step.

    Raises:
        Refused: a check failed; nothing was changed.
        Differs: the restored data differ from the backup.
        BackupError: it could not be restored in full.
        LiveTierError, ArchiveTierError: a tier does not answer.
    """
    manifest, began = manifest_of(backup), time.monotonic()
    moment, seconds = now(), {}
    check_whole(manifest)
    check_release(manifest)
    report(f"{backup.name}: looking at {counted(len(manifest.files), 'file')}, {counted(manifest.size, 'byte')}")
    check_files(backup, inside=True)
    archive_room = None
    with ExitStack() as stack:
        if tier != "redis" and timescale_url is not None:
            archive_room = check_archive(manifest, timescale_url, into_non_empty=into_non_empty)
        if tier != "timescale" and client is not None:
            check_live(client, into_non_empty=into_non_empty)
        if tier == "both" and intake is not None:
            check_intake(intake, into_non_empty=into_non_empty)
        sources = list(_sources(stack, backup, manifest)) if tier != "timescale" and client is not None else []
        seconds["check"] = time.monotonic() - began
        rows = batches = count = 0
        if archive_room is not None and timescale_url is not None:
            report("restoring the archive")
            began = time.monotonic()
            rows = _restore_archive(backup, manifest, timescale_url)
            seconds["timescale"] = time.monotonic() - began
        if tier != "redis" and intake is not None:
            batches = _restore_intake(backup, manifest, intake, empty_first=tier == "both" and into_non_empty)
        if client is not None and sources:
            report("restoring the live tier")
            began = time.monotonic()
            count = _restore_live(manifest, sources, client)
            seconds["redis"] = time.monotonic() - began
    return Restored(backup.name, count, rows, batches, moment - manifest.began, seconds)


def see_live_equal(manifest: Manifest, client: Client) -> None:
    """Compare a live tier's keys with the manifest. Raises Differs."""
    differences = keys.differences(manifest.redis["account"], keys.account(client), int(time.time() * 1000))
    if differences:
        raise Differs("the live tier", differences)


def see_archive_equal(manifest: Manifest, archive: Archive) -> None:
    """Compare an archive's tables with the manifest. Raises Differs."""
    differences = tables.differences(manifest.timescale, tables.account_of(archive))
    if differences:
        raise Differs("the archive", differences)


def _sources(stack: ExitStack, backup: Backup, manifest: Manifest) -> Iterator[Client]:
    """A scratch server for each snapshot, so that an unreadable snapshot is found before anything is changed."""
    for node in manifest.redis["nodes"]:
        file = manifest.file(node["file"])
        yield stack.enter_context(_loaded(backup, manifest, file))


@contextmanager
def _loaded(backup: Backup, manifest: Manifest, file: StoredFile) -> Iterator[Client]:
    def fill(file_to_fill: IO[bytes]) -> None:
        fetch(BackupFolder(backup.uri), backup.name, file, file_to_fill, identities_for(manifest.encrypted))

    with scratch_server(fill, int(manifest.redis["database"])) as client:
        yield client


def _restore_archive(backup: Backup, manifest: Manifest, url: str) -> int:
    make_database(url)
    make_room(url, manifest.servers["timescaledb"])

    def feed(sink: Any) -> None:
        fetch(BackupFolder(backup.uri), backup.name, manifest.file(DUMP), sink, identities_for(manifest.encrypted))

    restore_dump(url, manifest.servers["postgresql_number"], int(manifest.servers["pg_dump"]), feed)
    archive = Archive(url)
    try:
        see_archive_equal(manifest, archive)
    finally:
        archive.close()
    return tables.rows_of(manifest.timescale)


def _restore_intake(backup: Backup, manifest: Manifest, intake: Intake, *, empty_first: bool) -> int:
    if empty_first:
        for dataset in TABLES:
            for batch in intake.pending(dataset):
                intake.delete(batch)
    count = 0
    for dataset, names in manifest.intake.items():
        for name in names:
            data = BytesIO()
            file = manifest.file(f"intake/{dataset}/{name}")
            fetch(BackupFolder(backup.uri), backup.name, file, data, identities_for(manifest.encrypted))
            intake.write(f"{dataset}/{name}", data.getvalue(), "a batch from a backup", "it is still in the backup")
            count += 1
    return count


def _restore_live(manifest: Manifest, sources: Sequence[Client], client: Client) -> int:
    with live_errors(client):
        client.flushdb()  # empty already, or meant to be emptied
    count = sum(copy_keys(source, client) for source in sources)
    see_live_equal(manifest, client)
    return count
