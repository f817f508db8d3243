"""`trading-data backup` and `restore`: both tiers, or one.

Belongs here: options and printing. Does not: the work (`trading_data.operations.backup`).
"""

from dataclasses import replace

import click

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import check_schema
from trading_data.cli.servers import settings_of_running
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.backup.check import check_files, check_release, manifest_of
from trading_data.operations.backup.create import create_backup
from trading_data.operations.backup.keys import keys_of
from trading_data.operations.backup.manifest import Backup, Manifest, backups, chosen
from trading_data.operations.backup.restore import Tier, restore
from trading_data.operations.backup.retention import prune
from trading_data.operations.backup.tables import rows_of
from trading_data.printable import counted, printable
from trading_data.settings import REDIS_URL, TIMESCALE_URL, Settings, without_password
from trading_data.times import now


@click.command("backup")
@click.option("--uri", help="Where backups are kept: a path or any fsspec URI. Default: TRADING_DATA_BACKUP_URI.")
@click.option("--list", "listed", is_flag=True, help="List the existing backups instead.")
@click.option("--verify", "name", metavar="NAME", help="Check every byte of this backup instead.")
@click.option("--keep-all", is_flag=True, help="Do not remove old backups afterwards.")
def backup_command(uri: str | None, listed: bool, name: str | None, keep_all: bool) -> None:
    """Back up both tiers and the intake, as `backup_job` does every night, and remove backups that have expired.

    Dagster's page shows the backups of `backup_job` only; --list lists all.
    """
    if listed and name:
        raise click.UsageError("give --list or --verify, not both")
    where = uri or Settings.from_env().backup_uri
    if listed:
        existing = backups(where)
        for backup in existing:
            click.echo(_backup_line(backup))
        if not existing:
            click.echo(f"there is no backup under {without_password(where)}", err=True)
    elif name:
        _verify(chosen(where, name))
    else:
        _create(where, keep_all)


def _create(uri: str, keep_all: bool) -> None:
    settings = settings_of_running()
    archive = Archive(settings.require_owner_url())
    check_schema(archive)
    client = connect_for_archiver(settings.require_redis_url())
    copier = connect_for_archiver(settings.require_redis_backup_url())
    manifest = create_backup(uri, client, archive, Intake(settings.intake_uri), copier=copier)
    click.echo(f"{manifest.name}: {_content(manifest)}, in {(manifest.ended - manifest.began).total_seconds():.1f} s")
    for verdict in () if keep_all else prune(uri, now()):
        if verdict.goes:
            click.echo(f"{verdict.backup.name} removed: {verdict.reason}")


def _verify(backup: Backup) -> None:
    manifest = manifest_of(backup)
    check_release(manifest)
    check_files(backup, inside=False)
    click.echo(
        f"{backup.name} is undamaged: {_content(manifest)}. Only a restore drill shows that it can be restored: "
        f"{_drill(backup)}"
    )


def _backup_line(backup: Backup) -> str:
    hours = backup.age(now()).total_seconds() / 3600
    if backup.manifest is None:
        return f"{backup.name}  {hours:,.1f} h old  incomplete: {printable(backup.damaged) or 'it was not finished'}"
    return f"{backup.name}  {hours:,.1f} h old  {_content(backup.manifest)}  {_drill(backup)}"


def _content(manifest: Manifest) -> str:
    batches = sum(map(len, manifest.intake.values()))
    encrypted = ", encrypted" if manifest.encrypted else ""
    return (
        f"{counted(keys_of(manifest.redis['account']), 'key')}, {counted(batches, 'batch', 'batches')}, "
        f"{counted(rows_of(manifest.timescale), 'row')}, {manifest.size / 1e6:,.1f} MB{encrypted}"
    )


def _drill(backup: Backup) -> str:
    if backup.drill is None:
        return "not drilled"
    outcome = "restored and equal" if backup.drill.ok else f"FAILED: {printable(backup.drill.differences[0])}"
    return f"drilled {backup.drill.at:%Y-%m-%d %H:%M}Z, {outcome}"


@click.command("restore")
@click.argument("name", required=False)
@click.option("--latest", is_flag=True, help="Restore the newest complete backup.")
@click.option("--uri", help="Where backups are kept. Default: TRADING_DATA_BACKUP_URI.")
@click.option("--redis-url", help="The live tier to restore to. Default: the running one.")
@click.option("--timescale-url", help="The archive to restore to; its database is created. Default: the running one.")
@click.option("--tier", type=click.Choice(["both", "redis", "timescale"]), default="both", show_default=True)
@click.option("--into-non-empty", is_flag=True, help="First delete what the target holds of the same database.")
def restore_command(
    name: str | None,
    latest: bool,
    uri: str | None,
    redis_url: str | None,
    timescale_url: str | None,
    tier: Tier,
    into_non_empty: bool,
) -> None:
    """Restore the backup NAME, or the newest with --latest, and compare everything restored with its manifest.

    All checks come before the first change. Stop the feed and Dagster first. The archive is restored first, the live tier last.
    """
    if bool(name) == latest:
        raise click.UsageError("name a backup, or give --latest; `trading-data backup --list` shows the names")
    backup = chosen(uri or Settings.from_env().backup_uri, name)
    settings = settings_of_running(needed=not (redis_url or timescale_url))
    given = Settings.from_env({REDIS_URL: redis_url or "", TIMESCALE_URL: timescale_url or ""})
    settings = replace(
        settings,
        redis_url=given.redis_url or settings.redis_url,
        timescale_url=given.timescale_url or settings.owner_url or settings.timescale_url,
    )
    restored = restore(
        backup,
        client=connect_for_archiver(settings.require_redis_url()) if tier != "timescale" else None,
        timescale_url=settings.require_timescale_url() if tier != "redis" else None,
        intake=Intake(settings.intake_uri) if tier != "redis" else None,
        tier=tier,
        into_non_empty=into_non_empty,
        report=click.echo,
    )
    spent = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in restored.seconds.items())
    click.echo(
        f"{restored.name} is restored and equal to its manifest: {counted(restored.keys, 'key')}, "
        f"{counted(restored.rows, 'row')}, {counted(restored.batches, 'batch', 'batches')} ({spent})"
    )
    click.echo(f"recovery point: {restored.recovery_point.total_seconds() / 60:,.1f} minutes before now")
    click.echo("next: `trading-data migrate`, then `trading-data verify`, then start Dagster and the feed")
