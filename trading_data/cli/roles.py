"""`trading-data roles`.

Belongs here: the options, where the passwords are, printing. Does not: the roles (`archive.schema.roles`).
"""

import os
from pathlib import Path

import click
from sqlalchemy import make_url

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.archive.schema.roles import LOGINS, Roles, grant, make_roles
from trading_data.errors import SettingError
from trading_data.settings import ADMIN_URL, postgres_url, with_secrets


@click.command("roles")
@click.option("--prefix", default="trading", show_default=True, help="What the names of the roles begin with.")
@click.option(
    "--passwords",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/run/secrets"),
    show_default=True,
    help="A folder with one file a role: owner_password, writer_password, reader_password, dagster_password.",
)
@click.option("--dagster-database", default="dagster", show_default=True, help="Dagster's own database; '' for none.")
def command(prefix: str, passwords: Path, dagster_database: str) -> None:
    """Make roles and databases, bring the schema to the newest, and grant what each role needs.

    TRADING_DATA_TIMESCALE_ADMIN_URL (or its _FILE or _PASSWORD_FILE) names a superuser and the archive's database. Running it
    again changes nothing but the passwords, if the files have others.
    """
    url = postgres_url(with_secrets(os.environ), ADMIN_URL)
    if url is None:
        raise SettingError(
            f"{ADMIN_URL} is not set: roles are made by a superuser, as postgresql://postgres@host/trading"
        )
    roles = Roles(prefix)
    given = {name: _password(passwords / f"{name}_password") for name in LOGINS}
    make_roles(url, roles, given, dagster_database or None)
    owner = make_url(url).set(username=roles.owner, password=given["owner"]).render_as_string(hide_password=False)
    migrate(Archive(owner), click.echo)
    for line in grant(Archive(url), roles):
        click.echo(line)
    click.echo(f"{roles.owner}, {roles.writer}, {roles.reader} and {roles.dagster} have what they need")


def _password(file: Path) -> str:
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    if not found:
        raise SettingError(f"{file} is missing, empty or not readable: every role needs a password of its own")
    return found
