"""Migrations: each file of `sql/incremental/` is applied once, in order, and recorded with its hash."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from trading_data.archive.database import ENCODING, Archive, create_database_command
from trading_data.archive.sql import folder, statement
from trading_data.errors import SchemaError, WrongEncoding

_EXTENSION = "create extension if not exists timescaledb"
_LOCK = "select pg_advisory_xact_lock(hashtext('trading_data migrate'))"


@dataclass(frozen=True)
class Migration:
    """A file of `sql/incremental/`."""

    name: str
    sha256: str
    text: str


def migrations() -> list[Migration]:
    """All migrations, in order."""
    files = []
    for path in sorted((folder() / "incremental").glob("*.sql")):
        data = path.read_bytes()
        files.append(Migration(path.name, hashlib.sha256(data).hexdigest(), data.decode()))
    return files


def migrate(archive: Archive, report: Callable[[str], None] = lambda _: None) -> list[str]:
    """Apply all outstanding migrations; returns their names.

    Raises:
        SchemaError: an applied file has changed since, or the database has migrations that this release lacks.
        WrongEncoding: the database does not store text as UTF-8; nothing was applied.
    """
    check_encoding(archive)
    with archive.transaction() as cursor:
        cursor.execute(_LOCK)
        cursor.execute(_EXTENSION)
        cursor.execute(statement("migration_table"))
    applied = []
    for migration in _outstanding(archive):
        with archive.transaction() as cursor:
            cursor.execute(_LOCK)
            cursor.execute("select from archive_migration where name = %s", (migration.name,))
            if cursor.rowcount:
                continue  # another process has applied it meanwhile
            cursor.execute(migration.text)
            cursor.execute(
                "insert into archive_migration (name, sha256) values (%s, %s)", (migration.name, migration.sha256)
            )
        report(f"applied {migration.name}")
        applied.append(migration.name)
    return applied


def check_encoding(archive: Archive) -> None:
    """Raise WrongEncoding unless the database stores text as UTF-8.

    Other encodings refuse the characters that they lack; SQL_ASCII accepts any bytes as text.
    """
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("show server_encoding")
        (encoding,) = cursor.fetchone() or ("nothing",)
    if encoding != ENCODING:
        command = create_database_command(archive.url)
        raise WrongEncoding(
            f"the database at {archive.address} stores text as {encoding}, but the archive needs {ENCODING}. Create another one "
            f"with `{command}`, as a role that may create databases, put its name into the URL, and run `trading-data migrate`",
            command,
        )


def check_schema(archive: Archive) -> None:
    """Raise SchemaError unless exactly the migrations of this release are applied."""
    outstanding = _outstanding(archive)
    if outstanding:
        raise SchemaError(f"{outstanding[0].name} is not applied to {archive.address}: run `trading-data migrate`")


def _outstanding(archive: Archive) -> list[Migration]:
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select name, sha256 from archive_migration order by name")
        applied = dict(cursor.fetchall())
    files = migrations()
    for migration in files:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise SchemaError(
                f"sql/incremental/{migration.name} was changed after it had been applied to {archive.address}: "
                "restore the file and put the change into a new one"
            )
    unknown = applied.keys() - {migration.name for migration in files}
    if unknown:
        raise SchemaError(
            f"{min(unknown)} is applied to {archive.address}, but this release does not have it: use a newer release"
        )
    return [migration for migration in files if migration.name not in applied]
