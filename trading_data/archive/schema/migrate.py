"""Bringing the database to the newest schema: each file of `sql/incremental/` once, in order, recorded with its hash.

Belongs here: applying and checking. Does not: the schema itself (`sql/incremental/`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import Identifier

from trading_data.archive.database import ENCODING, Archive, create_database_command
from trading_data.archive.sql import folder, identifiers, names_of, statement
from trading_data.datasets.declaration import Dataset
from trading_data.errors import SchemaError, WrongEncoding


def fingerprint_of_rows(cursor: Cursor, dataset: Dataset, start: datetime, end: datetime) -> tuple[int, str]:
    """How many rows a range holds, and a text that any change of them changes."""
    names = {**names_of(dataset), "relation": Identifier(dataset.table)}
    cursor.execute(statement("fingerprint", **names), {"start": start, "end": end})
    return cursor.fetchone() or (0, "")


def fingerprints_of_aggregates(
    cursor: Cursor, dataset: Dataset, start: datetime, end: datetime
) -> dict[str, tuple[int, str]]:
    """Of each aggregate, how many buckets begin in a range, and a text that any change of them changes."""
    found = {}
    for aggregate in dataset.aggregates:
        names = {
            "relation": Identifier(aggregate.name),
            "columns": identifiers(aggregate.columns),
            "time": Identifier("bucket"),
        }
        cursor.execute(statement("fingerprint", **names), {"start": start, "end": end})
        found[aggregate.name] = cursor.fetchone() or (0, "")
    return found


_EXTENSION = "create extension if not exists timescaledb"
_LOCK = "select pg_advisory_xact_lock(hashtext('trading_data migrate'))"


@dataclass(frozen=True)
class Migration:
    """A file of the schema."""

    name: str
    sha256: str
    text: str


def migrations() -> list[Migration]:
    """All files of the schema, in order."""
    found = []
    for path in sorted((folder() / "incremental").glob("*.sql")):
        data = path.read_bytes()
        found.append(Migration(path.name, hashlib.sha256(data).hexdigest(), data.decode()))
    return found


def migrate(archive: Archive, report: Callable[[str], None] = lambda _: None) -> list[str]:
    """Apply what is not applied yet; returns the names of what was.

    Raises:
        SchemaError: a file that was applied has changed since, or the database knows files that this release does not.
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
                continue  # another process was faster
            cursor.execute(migration.text)
            cursor.execute(
                "insert into archive_migration (name, sha256) values (%s, %s)", (migration.name, migration.sha256)
            )
        report(f"applied {migration.name}")
        applied.append(migration.name)
    return applied


def check_encoding(archive: Archive) -> None:
    """Raise WrongEncoding unless the database stores text as UTF-8.

    Another encoding refuses the characters that it does not have; SQL_ASCII takes any bytes for text.
    """
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("show server_encoding")
        (encoding,) = cursor.fetchone() or ("nothing",)
    if encoding != ENCODING:
        command = create_database_command(archive.url)
        raise WrongEncoding(
            f"the database at {archive.address} stores text as {encoding}, and the archive needs {ENCODING}. Make another one by "
            f"`{command}`, as a role that may create databases, name it in the URL, and run `trading-data migrate`",
            command,
        )


def check_schema(archive: Archive) -> None:
    """Raise SchemaError unless exactly this release's files are applied."""
    outstanding = _outstanding(archive)
    if outstanding:
        raise SchemaError(f"{outstanding[0].name} is not applied to {archive.address}: run `trading-data migrate`")


def _outstanding(archive: Archive) -> list[Migration]:
    with archive.transaction(snapshot=True) as cursor:
        cursor.execute("select name, sha256 from archive_migration order by name")
        known = dict(cursor.fetchall())
    files = migrations()
    for migration in files:
        if known.get(migration.name, migration.sha256) != migration.sha256:
            raise SchemaError(
                f"sql/incremental/{migration.name} was changed after it had been applied to {archive.address}: "
                "put the file back as it was and write the change into a new file"
            )
    unknown = known.keys() - {migration.name for migration in files}
    if unknown:
        raise SchemaError(
            f"{archive.address} has {min(unknown)} applied, which this release does not know: use a newer release"
        )
    return [migration for migration in files if migration.name not in known]
