"""The database roles and their rights: an owner, a writer for the archiver, a reader, and a separate role for Dagster.

{prefix}_owner       owns all tables: migrations, compression, retention
{prefix}_aggregates  owns the aggregates, cannot log in; the writer inherits its right to refresh them
{prefix}_writer      drains, loads, refreshes, reads: adds and corrects rows, deletes none
{prefix}_reader      reads, in read-only transactions
{prefix}_dagster     owns Dagster's own database, cannot connect to the archive
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.extensions import encrypt_password
from psycopg2.sql import SQL, Identifier, Literal

from trading_data.archive.database import Archive, create_database, parts_of, session_parameters
from trading_data.archive.sql import script, statement
from trading_data.datasets import DATASETS, TABLES
from trading_data.datasets.declaration import Dataset
from trading_data.errors import ArchiveTierError, SettingError
from trading_data.settings import without_password

BOOKKEEPING_RIGHTS: Mapping[str, tuple[str, ...]] = {
    "archive_ledger": ("insert",),
    "archive_range": ("insert", "update", "delete"),
    "archive_entry_hash": ("insert",),
    "archive_subject_hash": ("insert", "delete"),
    "archive_said_again": ("insert",),
    "archive_acknowledged": ("insert", "update"),
    "archive_quarantine": ("insert", "update"),
    "archive_revision": ("insert",),
    "archive_refresh": ("insert", "delete"),
    "archive_coverage": ("insert", "update", "delete"),
    "archive_source": ("insert",),
    "archive_disagreement": ("insert", "update"),
    "archive_asked": ("insert", "update"),
    "archive_dropped": (),
    "archive_migration": (),
}
"""The writer's rights to each bookkeeping table, besides reading it. Undeclared tables can only be read."""
LOGINS = ("owner", "writer", "reader", "dagster")
"""The roles that can log in, each with its own password."""
_ROWS = ("insert", "update")
_EXTENSIONS = ("timescaledb", "pg_stat_statements")


@dataclass(frozen=True)
class Roles:
    """The names of the roles. All begin with one prefix, so that several archives can share a server."""

    prefix: str = "trading"

    @property
    def owner(self) -> str:
        """Owns the tables."""
        return f"{self.prefix}_owner"

    @property
    def aggregates(self) -> str:
        """Owns the aggregates."""
        return f"{self.prefix}_aggregates"

    @property
    def writer(self) -> str:
        """Archives."""
        return f"{self.prefix}_writer"

    @property
    def reader(self) -> str:
        """Reads."""
        return f"{self.prefix}_reader"

    @property
    def dagster(self) -> str:
        """Owns Dagster's storage."""
        return f"{self.prefix}_dagster"

    @property
    def identifiers(self) -> dict[str, Identifier]:
        """All names, quoted, by purpose."""
        return {
            name: Identifier(getattr(self, name)) for name in ("owner", "aggregates", "writer", "reader", "dagster")
        }


def make_roles(admin_url: str, roles: Roles, passwords: Mapping[str, str], dagster_database: str | None = None) -> None:
    """Create missing roles and databases, and set these passwords. Repeating it changes nothing else.

    Objects of the archive that belong to other roles, as after a restore, change to the right owner.

    Args:
        admin_url: a superuser's URL with the database of the archive, which is created if it is missing.
        roles: their names.
        passwords: by `owner`, `writer`, `reader`, `dagster`; sent as SCRAM verifiers, so that no server log contains them.
        dagster_database: the name of Dagster's own database on this server, or None if it is elsewhere.

    Raises:
        SettingError: a password is missing or empty.
        ArchiveTierError: the server is unavailable or refuses; the message contains no password.
    """
    missing = [name for name in LOGINS if not passwords.get(name)]
    if missing:
        raise SettingError(f"no password is given for {', '.join(missing)}: every role needs one")
    database = parts_of(admin_url).database or "trading"
    with _cursor(admin_url, "postgres") as cursor:
        for name, quoted in roles.identifiers.items():
            _make_role(cursor, getattr(roles, name), quoted, passwords.get(name))
        _make_database(cursor, database, roles.owner)
        if dagster_database:
            _make_database(cursor, dagster_database, roles.dagster)
            cursor.execute(SQL("revoke all on database {} from public").format(Identifier(dagster_database)))
    with _cursor(admin_url, database) as cursor:
        cursor.execute("select name from pg_available_extensions where name = any(%s)", (list(_EXTENSIONS),))
        for (name,) in cursor.fetchall():
            cursor.execute(SQL("create extension if not exists {}").format(Identifier(name)))
        cursor.execute(script("roles/cluster", database=Identifier(database), **roles.identifiers))
        _hand_over(cursor, roles)


def grant(archive: Archive, roles: Roles) -> list[str]:
    """Grant the roles their rights on all present tables; returns a line for each change.

    It needs a superuser: changing the owner of an aggregate takes rights in TimescaleDB's own schema, which no role here
    should have.

    Raises:
        ArchiveTierError: the archive is unavailable, a role is missing, or the URL is not a superuser's.
    """
    changes = []
    with archive.transaction() as cursor:
        cursor.execute(script("roles/defaults", **roles.identifiers))
        cursor.execute(statement("own_tables"))
        owners: dict[str, str] = dict(cursor.fetchall())
        wanted = list(_wanted(roles, owners))
        names, to, rights = zip(*wanted, strict=True) if wanted else ((), (), ())
        cursor.execute(statement("rights_missing"), {"names": list(names), "roles": list(to), "rights": list(rights)})
        for name, role, right in cursor.fetchall():
            command = SQL("grant {} on {} to {}").format(SQL(right), Identifier(name), Identifier(role))
            cursor.execute(command)
            changes.append(f"{role} may {right} {name}")
        cursor.execute(SQL("grant usage on sequence archive_batch to {}").format(Identifier(roles.writer)))
        for dataset in DATASETS.values():
            for aggregate in dataset.aggregates:
                if owners.get(aggregate.name, roles.aggregates) != roles.aggregates:
                    change = SQL("alter materialized view {} owner to {}")
                    cursor.execute(change.format(Identifier(aggregate.name), Identifier(roles.aggregates)))
                    changes.append(f"{roles.aggregates} owns {aggregate.name}")
        changes += _grant_moves(cursor, roles, owners)
    return changes


def _wanted(roles: Roles, names: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Triples of table, role and right: writer and reader may read all tables, the writer may write declared ones."""
    writable = {**BOOKKEEPING_RIGHTS, **{dataset.table: _ROWS for dataset in TABLES.values()}}
    for name in names:
        yield from ((name, role, "select") for role in (roles.writer, roles.reader))
        yield from ((name, roles.writer, right) for right in writable.get(name, ()))
    yield from ((dataset.table, roles.aggregates, "select") for dataset in DATASETS.values() if dataset.table in names)


def _grant_moves(cursor: Cursor, roles: Roles, tables: Mapping[str, str]) -> Iterator[str]:
    """Where rows have an identity, the writer may call the function that moves rows, instead of a right to delete them."""
    for dataset in TABLES.values():
        if dataset.identity is None or dataset.table not in tables:
            continue
        move = f"{_move_function(dataset)}(jsonb)"
        cursor.execute(
            "select has_function_privilege(%(role)s, %(move)s, 'execute'), has_table_privilege(%(role)s, %(table)s, 'delete')",
            {"role": roles.writer, "move": move, "table": dataset.table},
        )
        may_move, may_delete = cursor.fetchone() or (True, False)
        names = {
            "move": Identifier(_move_function(dataset)),
            "table": Identifier(dataset.table),
            "writer": Identifier(roles.writer),
        }
        if not may_move:
            cursor.execute(SQL("grant execute on function {move}(jsonb) to {writer}").format(**names))
            yield f"{roles.writer} may execute {move}"
        if may_delete:
            cursor.execute(SQL("revoke delete on {table} from {writer}").format(**names))
            yield f"{roles.writer} may no longer delete from {dataset.table}"


def _hand_over(cursor: Cursor, roles: Roles) -> None:
    """Change the owner of objects that belong to other roles."""
    aggregates = {aggregate.name for dataset in DATASETS.values() for aggregate in dataset.aggregates}
    cursor.execute(statement("owned_by_others"), {"roles": [roles.owner, roles.aggregates]})
    for (name,) in cursor.fetchall():
        kind, owner = ("materialized view", roles.aggregates) if name in aggregates else ("table", roles.owner)
        command = SQL("alter {} {} owner to {}")
        cursor.execute(command.format(SQL(kind), Identifier(name), Identifier(owner)))
    for name in (_move_function(dataset) for dataset in TABLES.values() if dataset.identity is not None):
        cursor.execute(
            "select pg_get_userbyid(proowner) from pg_proc where oid = to_regprocedure(%s)", (f"{name}(jsonb)",)
        )
        if cursor.fetchall() not in ([], [(roles.owner,)]):
            command = SQL("alter function {}(jsonb) owner to {}")
            cursor.execute(command.format(Identifier(name), Identifier(roles.owner)))


def _move_function(dataset: Dataset) -> str:
    """The function that moves rows of a dataset to another moment."""
    return f"move_{dataset.table}"


def _make_role(cursor: Cursor, name: str, quoted: Identifier, password: str | None) -> None:
    cursor.execute("select from pg_roles where rolname = %s", (name,))
    if not cursor.rowcount:
        cursor.execute(SQL("create role {}").format(quoted))
    if password is None:
        return
    verifier = encrypt_password(password, name, cursor.connection, "scram-sha-256")
    options = SQL("alter role {} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password {}")
    cursor.execute(options.format(quoted, Literal(verifier)))


def _make_database(cursor: Cursor, name: str, owner: str) -> None:
    cursor.execute("select from pg_database where datname = %s", (name,))
    if not cursor.rowcount:
        cursor.execute(create_database(name))
    cursor.execute(SQL("alter database {} owner to {}").format(Identifier(name), Identifier(owner)))


@contextmanager
def _cursor(url: str, database: str) -> Iterator[Any]:
    address = parts_of(url).set(drivername="postgresql", database=database).render_as_string(hide_password=False)
    try:
        with closing(psycopg2.connect(address, connect_timeout=10, **session_parameters(url))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
    except psycopg2.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ArchiveTierError(
            f"roles could not be created at {without_password(url)} ({reason}): use a superuser's URL and try again"
        ) from None
