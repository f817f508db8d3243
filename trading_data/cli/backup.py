"""`trading-data backup`: take one, list them, look at one; old ones go by the declared scheme.

Belongs here: options and printing. Does not: backups themselves (`trading_data.operations.backup`).
"""

import click

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import check_schema
from trading_data.cli.servers import settings_of_running
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.backup.check import check_files, check_release, manifest_of
from trading_data.operations.backup.create import take_backup
from trading_data.operations.backup.keys import keys_of
from trading_data.operations.backup.manifest import Backup, Manifest, backups, chosen
from trading_data.operations.backup.retention import prune
from trading_data.operations.backup.tables import rows_of
from trading_data.printable import counted, printable
from trading_data.settings import Settings, without_password
from trading_data.times import now


@click.command("backup")
@click.option("--uri", help="Where backups lie: a path or any fsspec URI. Default: TRADING_DATA_BACKUP_URI.")
@click.option("--list", "listed", is_flag=True, help="Only list the backups that there are.")
@click.option("--verify", "name", metavar="NAME", help="Only look at every byte of this backup.")
@click.option("--keep-all", is_flag=True, help="Remove no old backup afterwards.")
def command(uri: str | None, listed: bool, name: str | None, keep_all: bool) -> None:
    """Back up both tiers and the intake, as `backup_job` does every night, and remove what the scheme does not keep."""
    if listed and name:
        raise click.UsageError("--list and --verify are two commands")
    where = uri or Settings.from_env().backup_uri
    if listed:
        found = backups(where)
        for one in found:
            click.echo(_line(one))
        if not found:
            click.echo(f"there is no backup under {without_password(where)}", err=True)
    elif name:
        _verify(chosen(where, name))
    else:
        _take(where, keep_all)


def _take(uri: str, keep_all: bool) -> None:
    settings = settings_of_running()
    archive = Archive(settings.require_owner_url())
    check_schema(archive)
    client = connect_for_archiver(settings.require_redis_url())
    copier = connect_for_archiver(settings.require_redis_backup_url())
    made = take_backup(uri, client, archive, Intake(settings.intake_uri), copier=copier)
    click.echo(f"{made.name}: {_content(made)}, in {(made.ended - made.began).total_seconds():.1f} s")
    for one in () if keep_all else prune(uri, now()):
        if one.goes:
            click.echo(f"{one.backup.name} went: {one.reason}")


def _verify(backup: Backup) -> None:
    manifest = manifest_of(backup)
    check_release(manifest)
    check_files(backup, inside=False)
    click.echo(
        f"{backup.name} is whole: {_content(manifest)}. Whether it can be restored shows a drill: {_drilled(backup)}"
    )


def _line(backup: Backup) -> str:
    hours = backup.age(now()).total_seconds() / 3600
    if backup.manifest is None:
        return f"{backup.name}  {hours:,.1f} h old  no backup: {printable(backup.damaged) or 'not finished'}"
    return f"{backup.name}  {hours:,.1f} h old  {_content(backup.manifest)}  {_drilled(backup)}"


def _content(manifest: Manifest) -> str:
    batches = sum(map(len, manifest.intake.values()))
    locked = ", encrypted" if manifest.encrypted else ""
    held = (
        f"{counted(keys_of(manifest.redis['account']), 'key')}, {counted(batches, 'batch', 'batches')}, "
        f"{counted(rows_of(manifest.timescale), 'row')}"
    )
    return f"{held}, {manifest.size / 1e6:,.1f} MB{locked}"


def _drilled(backup: Backup) -> str:
    if backup.drill is None:
        return "not drilled"
    how = "restored and equal" if backup.drill.ok else f"FAILED: {printable(backup.drill.differences[0])}"
    return f"drilled {backup.drill.at:%Y-%m-%d %H:%M}Z, {how}"
