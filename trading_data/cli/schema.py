"""`trading-data migrate` and `roles`: the schema of the archive, and who may use it."""

import os
from pathlib import Path

import click
from sqlalchemy import make_url

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.archive.schema.roles import LOGINS, Roles, grant, make_roles
from trading_data.cli.servers import settings_of_running
from trading_data.errors import SettingError
from trading_data.settings import ADMIN_URL, postgres_url, with_secrets


@click.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest schema; running it again changes nothing."""
    archive = Archive(settings_of_running().require_owner_url())
    applied = migrate(archive, click.echo)
    if not applied:
        click.echo(f"{archive.address} already has the newest schema")


@click.command("roles")
@click.option("--prefix", default="trading", show_default=True, help="Prefix of the role names.")
@click.option(
    "--passwords",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/run/secrets"),
    show_default=True,
    help="Folder with one file per role: owner_password, writer_password, reader_password, dagster_password.",
)
@click.option("--dagster-database", default="dagster", show_default=True, help="Dagster's own database; '' for none.")
def roles_command(prefix: str, passwords: Path, dagster_database: str) -> None:
    """Create the roles and databases, bring the schema up to date, and grant each role what it needs.

    TRADING_DATA_TIMESCALE_ADMIN_URL (or its _FILE or _PASSWORD_FILE) names a superuser and the archive's database. Running it
    again changes nothing but the passwords, if the files have changed.
    """
    url = postgres_url(with_secrets(os.environ), ADMIN_URL)
    if url is None:
        raise SettingError(
            f"{ADMIN_URL} is not set: only a superuser can create roles; set it to a URL like postgresql://postgres@host/trading"
        )
    roles = Roles(prefix)
    secrets = {name: _password(passwords / f"{name}_password") for name in LOGINS}
    make_roles(url, roles, secrets, dagster_database or None)
    owner = make_url(url).set(username=roles.owner, password=secrets["owner"]).render_as_string(hide_password=False)
    migrate(Archive(owner), click.echo)
    for line in grant(Archive(url), roles):
        click.echo(line)
    click.echo(f"{roles.owner}, {roles.writer}, {roles.reader} and {roles.dagster} have the privileges that they need")


def _password(file: Path) -> str:
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        password = ""
    if not password:
        raise SettingError(f"{file} is missing, empty or not readable: every role needs its own password")
    return password
