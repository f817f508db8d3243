"""Connections to TimescaleDB: one transaction at a time, with time-outs, and its errors in this package's words.

The embedded server has a single session that all clients share, so nothing here outlives a transaction: settings are
local to it, there are no session locks, and no connection waits for another while it is inside one.

Belongs here: the engine and the two ways to use it. Does not: statements.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812  (a class, named like a function by its library)
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError

from trading_data.errors import ArchiveTierError, SchemaError
from trading_data.settings import without_password

_CURRENT = "set transaction isolation level read committed"
_SNAPSHOT = "set transaction isolation level repeatable read, read only"
_LOCAL = """
    set local timezone = 'UTC';
    set local lock_timeout = %(lock)s;
    set local statement_timeout = %(statement)s
"""


class Archive:
    """The archive tier behind one URL; connects with the first statement."""

    def __init__(self, url: str) -> None:
        """Use a `postgresql+psycopg2://` URL."""
        self.url = url
        self._engine = create_engine(
            make_url(url),
            pool_size=2,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "trading_data",
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "tcp_user_timeout": 60_000,
            },
        )

    @property
    def address(self) -> str:
        """Where the server is, without its password."""
        return without_password(self.url)

    @contextmanager
    def transaction(self, *, snapshot: bool = False, lock: str = "120s", statement: str = "15min") -> Iterator[Cursor]:
        """A cursor in a transaction: committed on leaving, rolled back on an error.

        Args:
            snapshot: read only, and all statements see the same moment.
            lock: longest wait for a lock.
            statement: longest time for one statement.

        Raises:
            ArchiveTierError: the server is away, or refused a statement.
            SchemaError: a table is not there.
        """
        with self._errors(), self._connection() as connection, connection.cursor() as cursor:
            cursor.execute(_SNAPSHOT if snapshot else _CURRENT)
            cursor.execute(_LOCAL, {"lock": lock, "statement": statement})
            yield cursor
            connection.commit()

    @contextmanager
    def autocommit(self) -> Iterator[Cursor]:
        """A cursor whose statements each commit by themselves, for procedures that refuse a transaction."""
        with self._errors(), self._connection() as connection:
            connection.autocommit = True
            try:
                with connection.cursor() as cursor:
                    yield cursor
            finally:
                if not connection.closed:
                    connection.autocommit = False

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        pooled = self._engine.raw_connection()
        try:
            yield pooled.driver_connection
        except BaseException:
            pooled.invalidate()
            raise
        finally:
            pooled.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (psycopg2.OperationalError, psycopg2.InterfaceError, DBAPIError) as error:
            raise ArchiveTierError(
                f"the archive at {self.address} does not answer or broke off ({_first_line(error)}): start it or correct "
                "TRADING_DATA_TIMESCALE_URL; nothing is lost, what waits in journals and intake is loaded when it is back"
            ) from error
        except psycopg2.errors.UndefinedTable as error:
            raise SchemaError(f"{_first_line(error)}: run `trading-data migrate`") from error
        except psycopg2.Error as error:
            raise ArchiveTierError(
                f"the archive at {self.address} refused a statement: {_first_line(error)}"
            ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
