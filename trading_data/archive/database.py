"""Connections to TimescaleDB: one transaction at a time, with time limits, and errors in this package's words.

The embedded server has one session, shared by all clients. So nothing here outlives a transaction: settings are local to it, there
are no session locks, and no code waits for a second connection inside a transaction.

A role, a database, the environment (PGTZ, PGOPTIONS, …) and the URL can set defaults for a session, and some of them store wrong
text, lose digits or lose commits. So every connection is opened with the settings that the code relies on (`session_parameters`),
and every transaction sets them again as it begins.
"""

import os
import select
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812  (a class, named like a function by its library)
from psycopg2.sql import SQL, Composed, Identifier

from trading_data.archive.refusals import AWAY, refusal_of, sentence
from trading_data.errors import ArchiveTierError, SchemaError
from trading_data.settings import without_password

if TYPE_CHECKING:
    from sqlalchemy import URL

ENCODING = "UTF8"
"""The encoding of text, in the database and on the way there."""

_FROM_THE_START: Mapping[str, str] = {
    "standard_conforming_strings": "on",  # psycopg2 reads it once, when it connects, to know how to quote
    "backslash_quote": "safe_encoding",
    "default_transaction_isolation": "read committed",
}
"""Settings that cannot be changed inside a transaction, or only too late. They are fixed when a connection starts."""

_ANY_TIME: Mapping[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",  # enough digits to read the same number again, in to_jsonb() too
    "quote_all_identifiers": "off",  # names of chunks are compared as text
    "search_path": "public",  # the schema of the tables and of TimescaleDB's functions, whatever the role's own path is
    "synchronous_commit": "on",  # a batch's file is deleted once its commit is confirmed
}
"""The other settings that the code relies on. Time limits and whether a role may write are left to the server."""

SET_SESSION = "".join(f"set local {name} = '{value}'; " for name, value in _ANY_TIME.items())
"""Sets them for a transaction: a pooler may have ignored the connection's parameters, and PGTZ overrides them."""

_CURRENT = "begin isolation level read committed; "
_SNAPSHOT = "begin isolation level repeatable read, read only; "
_LOCAL = f"{SET_SESSION}set local lock_timeout = %(lock)s; set local statement_timeout = %(statement)s"


class Archive:
    """The archive tier behind one URL; connects with the first statement."""

    def __init__(self, url: str, *, connect_timeout: int = 10, statement: str = "15min") -> None:
        """Use a `postgresql+psycopg2://` URL.

        Args:
            url: where the server is.
            connect_timeout: time limit for connecting, in seconds.
            statement: time limit for a statement, unless the transaction has its own.
        """
        from sqlalchemy import create_engine, event

        self.url = url
        self._statement = statement
        self._engine = create_engine(
            parts_of(url),
            pool_size=2,
            connect_args={
                **session_parameters(url),
                "connect_timeout": connect_timeout,
                "application_name": "trading_data",
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "tcp_user_timeout": 60_000,
            },
        )
        event.listen(self._engine, "checkout", replace_lost)

    @property
    def address(self) -> str:
        """The server's URL, without its password."""
        return without_password(self.url).replace("+psycopg2", "", 1)

    @contextmanager
    def transaction(
        self,
        *,
        snapshot: bool = False,
        lock: str = "120s",
        statement: str | None = None,
        first: tuple[Composed, Mapping[str, object]] | None = None,
    ) -> Iterator[Cursor]:
        """A cursor in a transaction: committed on leaving, rolled back on an error.

        Args:
            snapshot: read-only, and all statements see the same moment.
            lock: time limit for waiting for a lock.
            statement: time limit for a statement; None for the archive's own.
            first: a statement with its values, sent with the `begin` in one round trip; the cursor has its rows.

        Raises:
            ArchiveTierError: the server is unreachable, or refused a statement.
            SchemaError: a table is missing.
        """
        with self._errors(), self._connection() as connection, connection.cursor() as cursor:
            begin = SQL((_SNAPSHOT if snapshot else _CURRENT) + _LOCAL)
            limits = {"lock": lock, "statement": statement or self._statement}
            if first is None:
                cursor.execute(begin, limits)
            else:
                cursor.execute(begin + SQL(";") + first[0], {**first[1], **limits})
            yield cursor
            cursor.execute("commit")
            if cursor.statusmessage != "COMMIT":  # a statement had failed, and the code went on
                raise ArchiveTierError(
                    f"the archive at {self.address} rolled back instead of committing: a statement had failed"
                )

    def ask(self, statement: Composed, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows of one statement, in one round trip; raises as `transaction`."""
        with self._errors(), self._connection() as connection, connection.cursor() as cursor:
            limits = {"lock": "120s", "statement": self._statement}
            cursor.execute(SQL(_LOCAL) + SQL(";") + statement, {**values, **limits})
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    @contextmanager
    def autocommit(self) -> Iterator[Cursor]:
        """A cursor whose statements commit one by one, with the connection's settings, for procedures that refuse a transaction."""
        with self._errors(), self._connection() as connection, connection.cursor() as cursor:
            yield cursor

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """A connection that begins no transaction by itself, so that ours begin with their limits in one round trip."""
        pooled = self._engine.raw_connection()
        try:
            connection: Any = pooled.driver_connection
            connection.autocommit = True
            yield connection
        except BaseException:
            pooled.invalidate()
            raise
        finally:
            pooled.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from sqlalchemy.exc import DBAPIError

        try:
            yield
        except psycopg2.errors.UndefinedTable as error:
            raise SchemaError(f"{_first_line(error)}: run `trading-data migrate`") from error
        except (psycopg2.Error, DBAPIError) as error:
            raise error_of(self.address, error) from error


def error_of(address: str, error: Exception) -> ArchiveTierError:
    """This package's error for one of psycopg2's or SQLAlchemy's; `address` is the archive's, without password."""
    cause = getattr(error, "orig", None) or error
    code, text = getattr(cause, "pgcode", None), _first_line(cause)
    refusal, translated = refusal_of(code, text), ArchiveTierError(sentence(address, code, text))
    translated.command = "" if refusal is AWAY else refusal.command
    return translated


def parts_of(url: str) -> "URL":
    """An archive's URL in its parts, from which another one can be made."""
    from sqlalchemy import make_url

    return make_url(url)


def session_parameters(url: str) -> dict[str, Any]:
    """Libpq's parameters for every connection to the archive, so that the session's settings are ours.

    The options of the URL, or else of PGOPTIONS, go first: if two set the same, the server takes the last one.
    """
    given = parts_of(url).query.get("options") or os.environ.get("PGOPTIONS", "")
    options = [given] if isinstance(given, str) else list(given)
    for name, value in {**_FROM_THE_START, **_ANY_TIME}.items():
        escaped = value.replace(" ", r"\ ")
        options.append(f"-c {name}={escaped}")
    return {"client_encoding": ENCODING, "options": " ".join(options)}


def create_database(name: str) -> Composed:
    """The statement that creates a database with the archive's encoding and collation, whatever the server's defaults are."""
    options = "encoding 'UTF8' template template0 lc_collate 'C' lc_ctype 'C'"
    return SQL("create database {} " + options).format(Identifier(name))


def create_database_command(url: str) -> str:
    """The same as a shell command, with a new name, on the server of a database with the wrong encoding."""
    name = f"{parts_of(url).database or 'trading'}_utf8".replace('"', '""')
    create = f"create database \"{name}\" encoding 'UTF8' template template0 lc_collate 'C' lc_ctype 'C'"
    return f"trading-data psql --owner -c {quote(create)}"


def replace_lost(connection: Any, *_: object) -> None:
    """Have the pool reconnect if the server has closed the connection since its last use.

    A server that stops sends a message or closes the connection, and an idle connection receives nothing else. So this needs no
    round trip. Keepalives detect a server that vanished without closing.
    """
    from sqlalchemy.exc import DisconnectionError

    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("the server closed an idle connection")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
