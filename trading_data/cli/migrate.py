"""`trading-data migrate`.

Belongs here: printing. Does not: applying (`archive.schema.migrate`).
"""

import click

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.cli.servers import settings_of_running


@click.command("migrate")
def command() -> None:
    """Bring the database to the newest schema; running it again changes nothing."""
    archive = Archive(settings_of_running().require_owner_url())
    applied = migrate(archive, click.echo)
    if not applied:
        click.echo(f"{archive.address} has the newest schema already")
