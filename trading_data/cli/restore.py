"""`trading-data restore`: both tiers, or one, from a backup.

Belongs here: options and printing. Does not: restoring (`operations.backup.restore`).
"""

from dataclasses import replace

import click

from trading_data.cli.servers import settings_of_running
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver
from trading_data.operations.backup.manifest import chosen
from trading_data.operations.backup.restore import Tier, restore
from trading_data.printable import counted
from trading_data.settings import REDIS_URL, TIMESCALE_URL, Settings


@click.command("restore")
@click.argument("name", required=False)
@click.option("--latest", is_flag=True, help="The newest complete backup.")
@click.option("--uri", help="Where backups lie. Default: TRADING_DATA_BACKUP_URI.")
@click.option("--redis-url", help="Where to restore the live tier to. Default: the running one.")
@click.option(
    "--timescale-url", help="Where to restore the archive to; the database is made. Default: the running one."
)
@click.option("--tier", type=click.Choice(["both", "redis", "timescale"]), default="both", show_default=True)
@click.option("--into-non-empty", is_flag=True, help="Delete first what the target holds of this same database.")
def command(
    name: str | None,
    latest: bool,
    uri: str | None,
    redis_url: str | None,
    timescale_url: str | None,
    tier: Tier,
    into_non_empty: bool,
) -> None:
    """Restore a backup by NAME, or the newest with --latest, and compare all that came back with its manifest.

    Everything is looked at before anything is touched. Stop the feed and Dagster first; the archive comes back first, the live
    tier last.
    """
    if bool(name) == latest:
        raise click.UsageError("name a backup, or say --latest: `trading-data backup --list` shows them")
    backup = chosen(uri or Settings.from_env().backup_uri, name)
    settings = settings_of_running(needed=not (redis_url or timescale_url))
    given = Settings.from_env({REDIS_URL: redis_url or "", TIMESCALE_URL: timescale_url or ""})
    settings = replace(
        settings,
        redis_url=given.redis_url or settings.redis_url,
        timescale_url=given.timescale_url or settings.owner_url or settings.timescale_url,
    )
    client = connect_for_archiver(settings.require_redis_url()) if tier != "timescale" else None
    done = restore(
        backup,
        client=client,
        timescale_url=settings.require_timescale_url() if tier != "redis" else None,
        intake=Intake(settings.intake_uri) if tier != "redis" else None,
        tier=tier,
        into_non_empty=into_non_empty,
        report=click.echo,
    )
    spent = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in done.seconds.items())
    click.echo(
        f"{done.name} is back and equal: {counted(done.keys, 'key')}, {counted(done.rows, 'row')}, "
        f"{counted(done.batches, 'batch', 'batches')} ({spent})"
    )
    click.echo(f"recovery point: {done.recovery_point.total_seconds() / 60:,.1f} minutes before now")
    click.echo("next: `trading-data migrate`, then `trading-data verify`, then start Dagster and the feed")
