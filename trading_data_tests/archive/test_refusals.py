"""PostgreSQL's refusals become errors with a plain message and a command that helps; provoked on a real server."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from sqlalchemy import make_url

from trading_data.archive.database import Archive
from trading_data.archive.refusals import AWAY, REFUSALS, refusal_of
from trading_data.errors import ArchiveTierError
from trading_data.operations.health.collect import away_finding
from trading_data.operations.health.rules import ARCHIVE_AWAY, ARCHIVE_REFUSES
from trading_data.settings import Settings

NAME = "refusals"


@pytest.fixture
def url(servers: Settings) -> Iterator[str]:
    """A server with sessions of their own: Dagster's, with a table and a role for these tests."""
    given = str(servers.dagster_url)
    with closing(psycopg2.connect(plain(given))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"create table {NAME} (name text primary key); create role {NAME} login connection limit 0")
        yield given
        cursor.execute(f"drop table {NAME}; drop role {NAME}")


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg2", "postgresql", 1)


@contextmanager
def refused(url: str, *texts: str) -> Iterator[Archive]:
    with closing(Archive(url)) as archive, pytest.raises(ArchiveTierError) as caught:
        yield archive
    message = str(caught.value)
    for text in texts:
        assert text in message
    assert "does not answer" not in message
    assert "TRADING_DATA_TIMESCALE_URL" not in message or "login" in message or "is read-only" in message
    finding = away_finding("timescale", caught.value)
    assert finding.key == ARCHIVE_REFUSES.key
    assert finding.command == caught.value.command != ""


def test_a_lock_that_is_not_granted(url: str) -> None:
    with closing(psycopg2.connect(plain(url))) as other, other.cursor() as holder:
        holder.execute(f"lock table {NAME} in access exclusive mode")
        with (
            refused(url, "did not grant a lock in time", "55P03") as archive,
            archive.transaction(lock="50ms") as cursor,
        ):
            cursor.execute(f"select * from {NAME}")


def test_a_statement_that_takes_too_long(url: str) -> None:
    with refused(url, "took too long", "57014") as archive, archive.transaction(statement="50ms") as cursor:
        cursor.execute("select pg_sleep(10)")


def test_a_value_that_an_index_cannot_hold(url: str) -> None:
    with refused(url, "cannot hold a value", "54000", "2,704") as archive, archive.transaction() as cursor:
        cursor.execute(f"insert into {NAME} select string_agg(md5(n::text), '') from generate_series(1, 1000) n")


def test_a_write_where_only_reads_are_allowed(url: str) -> None:
    with refused(url, "is read-only here", "25006") as archive, archive.transaction(snapshot=True) as cursor:
        cursor.execute(f"insert into {NAME} values ('a')")


def test_a_right_that_is_missing(url: str) -> None:
    with refused(url, "denies this role", "42501") as archive, archive.transaction() as cursor:
        cursor.execute(f"set local role {NAME}")
        cursor.execute(f"select * from {NAME}")


@pytest.mark.parametrize("code", sorted({*REFUSALS} - {"08"}))
def test_every_code_of_the_table(url: str, code: str) -> None:
    """What cannot be brought about here, such as a full disk, is raised by a function on the server."""
    state = code if len(code) == 5 else code + "0ZZ"
    with refused(url, REFUSALS[code].message, state) as archive, archive.transaction() as cursor:
        cursor.execute(f"do $$ begin raise exception using errcode = '{state}', message = 'as it is'; end $$")


def test_an_unknown_code_is_a_statement_that_was_refused(url: str) -> None:
    with refused(url, "refused a statement (column", "42703") as archive, archive.transaction() as cursor:
        cursor.execute(f"select wrong from {NAME}")


@pytest.mark.parametrize(
    ("user", "database", "message"),
    [
        (NAME, None, "has no connection left"),
        ("nobody", None, "refused the login"),
        (None, "nowhere", "refused the login"),
    ],
)
def test_a_connection_that_the_server_refuses(url: str, user: str | None, database: str | None, message: str) -> None:
    given = make_url(url)
    given = given.set(username=user or given.username, database=database or given.database)
    with refused(given.render_as_string(hide_password=False), message, "FATAL") as archive, archive.transaction():
        pass


def test_only_a_server_that_is_not_there_does_not_answer() -> None:
    archive = Archive("postgresql+psycopg2://postgres@127.0.0.1:1/x")
    with pytest.raises(ArchiveTierError, match="does not answer or broke off") as caught, archive.transaction():
        pass
    assert away_finding("timescale", caught.value).key == ARCHIVE_AWAY.key
    assert refusal_of("08006", "") is refusal_of(None, "connection refused") is AWAY
