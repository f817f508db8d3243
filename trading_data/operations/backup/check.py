"""Checks before a restore: the backup is complete and readable, and the target can take it.

Belongs here: checks that change nothing. Does not: restoring (`restore`).
"""

from dataclasses import dataclass
from typing import Any

from trading_data.archive.database import Archive, parts_of
from trading_data.archive.schema.migrate import migrations
from trading_data.datasets import TABLES
from trading_data.errors import ArchiveTierError, Refused
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, address, live_errors
from trading_data.operations.backup import tables
from trading_data.operations.backup.dump import offers
from trading_data.operations.backup.manifest import DUMP, Backup, Manifest
from trading_data.operations.backup.streams import fetch, identities_for
from trading_data.operations.backup.target import BackupFolder
from trading_data.printable import counted

_HOW_TO_OVERWRITE = "Name another target, or add --into-non-empty, which deletes what is there"


@dataclass(frozen=True)
class Room:
    """The database for the restored archive: whether it exists, and the server's versions."""

    exists: bool
    versions: dict[str, Any]


def manifest_of(backup: Backup) -> Manifest:
    """The manifest. Raises Refused if there is none, or a newer release wrote it."""
    if backup.manifest is None:
        raise Refused(backup.damaged or f"{backup.name} has no manifest: it was never finished. Take another backup")
    return backup.manifest


def check_files(backup: Backup, *, inside: bool) -> None:
    """Check that every file is as it was stored; `inside`: also that it decrypts to what was backed up.

    Raises:
        Refused: a file is missing, cut short or changed, or the key is wrong.
        SettingError: the backup is encrypted and no key is configured.
    """
    manifest = manifest_of(backup)
    identities = identities_for(manifest.encrypted) if inside else None
    target = BackupFolder(backup.uri)
    for file in manifest.files:
        fetch(target, backup.name, file, None, identities)


def check_whole(manifest: Manifest) -> None:
    """Check that the manifest lists every file that it refers to. Raises Refused."""
    for node in manifest.redis["nodes"]:
        manifest.file(node["file"])
    for dataset, names in manifest.intake.items():
        for name in names:
            manifest.file(f"intake/{dataset}/{name}")
    manifest.file(DUMP)


def check_release(manifest: Manifest) -> None:
    """Check that this release knows the backup's schema. Raises Refused."""
    known = {migration.name: migration.sha256 for migration in migrations()}
    unknown = sorted(manifest.schema.keys() - known.keys())
    if unknown:
        raise Refused(
            f"{manifest.name} has {unknown[0]} applied, which this release does not know: restore it with a newer one"
        )
    changed = sorted(name for name, digest in manifest.schema.items() if known[name] != digest)
    if changed:
        raise Refused(
            f"{manifest.name} was taken with another {changed[0]} than this release has: restore it with that release"
        )


def check_archive(manifest: Manifest, url: str, *, into_non_empty: bool) -> Room:
    """Check that the server can take the dump, and that the database is empty.

    Raises:
        Refused: it is older than the dump's, has not its version of TimescaleDB, holds rows, or is another database.
        ArchiveTierError: the server does not answer.
    """
    exists, archive = True, Archive(url)
    try:
        versions, identity, full = _look_at(archive)
    except ArchiveTierError as error:
        if "does not exist" not in str(error):
            raise
        exists, (identity, full) = False, ("", [])
        archive.close()
        archive = Archive(parts_of(url).set(database="postgres").render_as_string(hide_password=False))
        versions, _, _ = _look_at(archive)
    try:
        _check_versions(manifest, versions, exists, archive)
    finally:
        archive.close()
    if full and identity != manifest.database:
        raise Refused(
            f"the database at {archive.address} is not the one that {manifest.name} was made of, and it holds rows "
            f"({', '.join(full[:3])}): it is never overwritten. Restore into a fresh database"
        )
    if full and not into_non_empty:
        raise Refused(
            f"the database at {archive.address} is not empty ({', '.join(full[:3])} hold rows). {_HOW_TO_OVERWRITE}"
        )
    return Room(exists, versions)


def check_live(client: Client, *, into_non_empty: bool) -> None:
    """Check that the live tier's database is empty. Raises Refused, and LiveTierError if it does not answer."""
    with live_errors(client):
        count = int(client.dbsize())
    if count and not into_non_empty:
        raise Refused(f"the live tier at {address(client)} is not empty ({counted(count, 'key')}). {_HOW_TO_OVERWRITE}")


def check_intake(intake: Intake, *, into_non_empty: bool) -> None:
    """Check that no batch waits in the intake. Raises Refused."""
    count = sum(len(intake.pending(dataset)) for dataset in TABLES)
    if count and not into_non_empty:
        raise Refused(
            f"{counted(count, 'batch waits', 'batches wait')} in the intake at {intake.uri}, newer than the backup. "
            f"{_HOW_TO_OVERWRITE}"
        )


def _look_at(archive: Archive) -> tuple[dict[str, Any], str, list[str]]:
    with archive.transaction(snapshot=True) as cursor:
        versions = tables.versions(cursor)
        if not versions["timescaledb"]:
            cursor.execute("select from pg_tables where schemaname = 'public'")
            return versions, "", ["tables without TimescaleDB"] if cursor.rowcount else []
        return versions, tables.identity(cursor), tables.not_empty(cursor)


def _check_versions(manifest: Manifest, versions: dict[str, Any], exists: bool, archive: Archive) -> None:
    backed_up = manifest.servers
    if versions["postgresql_number"] // 10_000 < backed_up["postgresql_number"] // 10_000:
        raise Refused(
            f"{manifest.name} is of PostgreSQL {backed_up['postgresql']}, and the server is older ({versions['postgresql']}): "
            "restore into the same major version or a newer one"
        )
    wanted = backed_up["timescaledb"]
    installed = versions["timescaledb"] if exists else ""
    if installed and installed != wanted:
        raise Refused(
            f"{manifest.name} is of TimescaleDB {wanted}, and the database has {installed}: a dump goes only into the very same "
            "version. Install that one, restore, then update the extension"
        )
    if not installed and not offers(archive, wanted):
        raise Refused(
            f"{manifest.name} is of TimescaleDB {wanted}, which the server does not offer: install that version on it"
        )
