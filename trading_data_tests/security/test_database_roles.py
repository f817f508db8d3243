"""The database roles: what each may do, and what none may, on real servers.

The embedded TimescaleDB has one user. The books are plain tables, so their rights are tried on Dagster's PostgreSQL; all the
rest needs a TimescaleDB given by URL.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from sqlalchemy import make_url

from trading_data import MarketData
from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate, migrations
from trading_data.archive.schema.roles import BOOKKEEPING_RIGHTS, LOGINS, Roles, grant, make_roles
from trading_data.archive.verify.run import verify
from trading_data.datasets import DATASETS, METRICS, PRICE, TABLES, TRADE
from trading_data.errors import SettingError
from trading_data.operations.maintenance.compression import compress_aged
from trading_data.operations.maintenance.retention import plan
from trading_data.operations.status import gather
from trading_data.settings import OWNER_URL, TIMESCALE_URL, Settings
from trading_data.times import now
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement

ROLES = Roles(f"td_test_{os.getpid()}")
PASSWORDS = {name: f"{name}:/@ secret" for name in LOGINS}
_WRITE = "begin; set transaction read write"
DAGSTERS = f"{ROLES.prefix}_dagsters"
needs_url = pytest.mark.skipif(
    not os.environ.get(TIMESCALE_URL),
    reason=f"the embedded TimescaleDB has one user: set {TIMESCALE_URL} to try the roles",
)


class Place:
    """A database with the roles; `url(role)` is the address for one of them."""

    def __init__(self, server: str) -> None:
        self.admin = make_url(server).set(database=ROLES.prefix, drivername="postgresql+psycopg2")

    def url(self, role: str) -> str:
        url = self.admin.set(username=getattr(ROLES, role), password=PASSWORDS[role], drivername="postgresql+psycopg2")
        return url.render_as_string(hide_password=False)

    def admin_url(self, database: str | None = None) -> str:
        return self.admin.set(database=database or ROLES.prefix).render_as_string(hide_password=False)

    def run(self, role: str, statement: str, database: str | None = None) -> list[Any]:
        url = make_url(self.url(role) if role in LOGINS else self.admin_url()).set(drivername="postgresql")
        url = url.set(database=database or url.database)
        with closing(psycopg2.connect(url.render_as_string(hide_password=False))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def refused(self, role: str, statement: str) -> bool:
        try:
            self.run(role, statement)
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction):
            return True
        except psycopg2.errors.FeatureNotSupported:  # TimescaleDB refuses some things to anybody
            return False
        return False

    def close(self) -> None:
        with closing(psycopg2.connect(make_url(self.admin_url("postgres")).set(drivername="postgresql").render_as_string(
            hide_password=False))) as connection:  # fmt: skip
            connection.autocommit = True
            with connection.cursor() as cursor:
                for name in (ROLES.prefix, DAGSTERS):
                    cursor.execute(f'drop database if exists "{name}" with (force)')
                for name in (*LOGINS, "aggregates"):
                    cursor.execute(f'drop role if exists "{getattr(ROLES, name)}"')


@pytest.fixture(scope="module")
def books(servers: Settings) -> Iterator[Place]:
    """The books alone, in Dagster's PostgreSQL or on the server given by URL."""
    place = Place(os.environ.get(TIMESCALE_URL) or str(servers.dagster_url))
    try:
        make_roles(place.admin_url(), ROLES, PASSWORDS, DAGSTERS)
        if os.environ.get(TIMESCALE_URL):
            migrate(Archive(place.url("owner")))
        else:
            texts = {migration.name: migration.text for migration in migrations()}
            place.run("owner", texts["001_bookkeeping.sql"] + texts["006_retention.sql"] + texts["007_ranges.sql"])
            for name in (
                "archive_coverage",
                "archive_source",
                "archive_disagreement",
                "archive_asked",
                "archive_subject_hash",
                "archive_said_again",
            ):
                place.run("owner", f"create table {name} (dataset text)")
            place.run("owner", "create table archive_migration (name text)")
        grant(Archive(place.admin_url()), ROLES)
        yield place
    finally:
        place.close()


@pytest.fixture
def archive(books: Place) -> Place:
    return books


@pytest.mark.parametrize(
    "statement",
    [
        *(f"insert into {name} overriding system value select * from {name} limit 0" for name in BOOKKEEPING_RIGHTS),
        "delete from archive_ledger", "update archive_ledger set inserted = 0", "truncate archive_ledger",
        "drop table archive_ledger", "alter table archive_ledger add x int", "create table mine (x int)",
        "select nextval('archive_batch')", "create role mine",
    ],
)  # fmt: skip
def test_the_reader_changes_nothing(books: Place, statement: str) -> None:
    assert books.refused("reader", f"{_WRITE}; {statement}")


@pytest.mark.parametrize(
    "statement", ["insert into archive_source select * from archive_source", "select nextval('archive_batch')"]
)
def test_the_reader_is_in_read_only_transactions_anyway(books: Place, statement: str) -> None:
    assert books.refused("reader", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from archive_ledger", "update archive_ledger set inserted = 0", "truncate archive_ledger",
        "delete from archive_entry_hash", "delete from archive_quarantine", "truncate archive_quarantine",
        "update archive_revision set old = '{}'", "delete from archive_revision",
        "insert into archive_dropped select * from archive_dropped",
        "insert into archive_migration select * from archive_migration", "drop table archive_ledger",
        "alter table archive_ledger add x int", "alter table archive_ledger disable trigger all", "create table mine (x int)",
        "create role mine", "drop sequence archive_batch",
        "alter role current_user superuser", "copy archive_ledger to program 'true'", "select pg_read_file('/etc/passwd')",
        "set role {owner}", "set role {aggregates}", "create schema mine",
    ],
)  # fmt: skip
def test_the_writer_neither_removes_nor_reshapes(books: Place, statement: str) -> None:
    assert books.refused("writer", statement.replace("{owner}", ROLES.owner).replace("{aggregates}", ROLES.aggregates))


def test_what_each_may_is_taken(books: Place) -> None:
    for role in ("owner", "writer", "reader"):
        for name in BOOKKEEPING_RIGHTS:
            books.run(role, f"select count(*) from {name}")
    books.run("writer", "select nextval('archive_batch')")
    books.run("writer", "create temporary table stage (x int)")
    books.run("owner", "create table later (x int)")
    assert books.run("reader", "select * from later") == []
    assert books.refused("writer", "insert into later values (1)")
    books.run("owner", "drop table later")


def test_dagster_has_a_database_of_its_own_and_sees_no_other(books: Place) -> None:
    books.run("dagster", "create table runs (x int)", DAGSTERS)
    with pytest.raises(psycopg2.OperationalError, match="CONNECT"):
        books.run("dagster", "select 1")
    for role in ("writer", "reader"):
        with pytest.raises(psycopg2.OperationalError, match="CONNECT"):
            books.run(role, "select 1", DAGSTERS)


def test_no_role_is_more_than_it_must_be(books: Place) -> None:
    roles = books.run(
        "admin",
        "select rolname, rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls, rolcanlogin, "
        f"rolpassword from pg_authid where rolname like '{ROLES.prefix}%'",
    )
    assert {name: login for name, _, login, _ in roles} == {
        **{getattr(ROLES, name): True for name in LOGINS}, ROLES.aggregates: False,
    }  # fmt: skip
    assert not any(more for _, more, _, _ in roles)
    assert all(password.startswith("SCRAM-SHA-256$") for _, _, login, password in roles if login)


def test_again_it_changes_nothing(books: Place) -> None:
    make_roles(books.admin_url(), ROLES, PASSWORDS, DAGSTERS)
    assert grant(Archive(books.admin_url()), ROLES) == []


def test_a_role_without_a_password_is_refused(books: Place) -> None:
    with pytest.raises(SettingError, match="writer"):
        make_roles(books.admin_url(), ROLES, {**PASSWORDS, "writer": ""})


@needs_url
def test_every_table_of_the_archive_is_declared(archive: Place) -> None:
    names = {name for (name,) in archive.run("admin", "select tablename from pg_tables where schemaname = 'public'")}
    assert names == set(BOOKKEEPING_RIGHTS) | {dataset.table for dataset in TABLES.values()}, (
        "say in archive.roles who may write it"
    )


@needs_url
@pytest.mark.parametrize("table", [dataset.table for dataset in TABLES.values()])
def test_rows_are_removed_by_the_owner_alone(archive: Place, table: str) -> None:
    for statement in (f"delete from {table}", f"truncate {table}", f"drop table {table}", f"alter table {table} add x int",
                      f"select drop_chunks('{table}', now())", f"create index on {table} (batch_id)"):  # fmt: skip
        assert archive.refused("writer", statement), statement
        assert archive.refused("reader", f"{_WRITE}; {statement}"), statement
    assert archive.refused("reader", f"{_WRITE}; insert into {table} select * from {table}")


MOVE = "move_trade_data(jsonb)"


@needs_url
def test_a_fill_is_moved_by_the_owner_s_function(archive: Place) -> None:
    """It runs with the owner's rights: so nothing that its caller makes is looked up, and only the writer may call it."""
    settings = archive.run(
        "admin",
        "select pg_get_userbyid(proowner), prosecdef, proconfig, has_function_privilege('public', oid, 'execute') "
        f"from pg_proc where oid = '{MOVE}'::regprocedure",
    )
    path = ["search_path=pg_catalog, pg_temp", "plan_cache_mode=force_custom_plan"]
    assert settings == [(ROLES.owner, True, path, False)]
    assert archive.refused("reader", f"{_WRITE}; select move_trade_data('[]')")
    assert archive.refused("writer", f"alter function {MOVE} reset search_path")
    assert archive.run("writer", "select move_trade_data('[]')") == [(0,)]


@needs_url
def test_a_right_of_an_earlier_release_is_taken_back(archive: Place) -> None:
    archive.run("owner", f'grant delete on trade_data to "{ROLES.writer}"')
    archive.run("owner", f'revoke execute on function {MOVE} from "{ROLES.writer}"')
    archive.run("admin", f"alter function {MOVE} owner to current_user")
    make_roles(archive.admin_url(), ROLES, PASSWORDS, DAGSTERS)
    assert grant(Archive(archive.admin_url()), ROLES) == [
        f"{ROLES.writer} may execute {MOVE}",
        f"{ROLES.writer} may no longer delete from trade_data",
    ]
    test_a_fill_is_moved_by_the_owner_s_function(archive)
    test_again_it_changes_nothing(archive)


@needs_url
def test_the_writer_does_the_whole_cycle_and_the_owner_the_aging(
    archive: Place, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TIMESCALE_URL, archive.url("writer"))
    monkeypatch.setenv(OWNER_URL, archive.url("owner"))
    settings = Settings.from_env()
    rig.archive = Archive(settings.require_timescale_url())
    rig.reader = MarketData(rig.client, rig.archive, rig.intake, EARLIEST)
    rig.store.record_prices([bar(symbol, minute) for symbol in ("AAPL", "MSFT") for minute in range(30)])
    rig.store.record_trades([fill(), fill("o2", "e2")])
    rig.store.record_metrics([measurement()])
    rig.entry("journal:metrics", {"metric_name": "x", "timestamp": "never", "value": "1", "unit": ""})
    for dataset in (PRICE, TRADE, METRICS):
        assert sum(batch.offered for batch in rig.archive_all(dataset)) > 0
    rig.store.record_prices([bar("AAPL", 3, close=11.5), bar("AAPL", 31)])
    assert rig.archive_all(PRICE)[0].replaced == 1

    owner = Archive(settings.require_owner_url())
    assert [result.outcome for result in compress_aged(owner, TRADE, now().replace(year=MOMENT.year + 1))] == [
        "compressed"
    ]
    with rig.archive.transaction() as cursor:  # what a caller puts before the tables is not looked at
        cursor.execute("create temporary table trade_data (x int) on commit drop")
        cursor.execute("select move_trade_data('[]')")
    rig.store.record_trades([fill(minute=1500)])
    assert rig.archive_all(TRADE)[0].replaced == 1
    assert rig.query("select order_id from trade_data order by timestamp") == [("o2",), ("o1",)]

    packed = list(compress_aged(owner, PRICE, now().replace(year=MOMENT.year + 1)))
    assert [result.outcome for result in packed] == ["compressed"]
    rig.store.record_prices([bar("AAPL", 4, close=11.25), bar("AAPL", 32)])  # now into the columnstore
    assert rig.archive_all(PRICE)[0].replaced == 1

    assert len(rig.reader.prices("AAPL", MOMENT, MOMENT.replace(hour=23))) == 32
    assert len(MarketData(rig.client, Archive(archive.url("reader")), rig.intake, EARLIEST).prices(
        "AAPL", MOMENT, MOMENT.replace(hour=23), interval="5m")) == 7  # fmt: skip
    assert gather(rig.client, rig.archive, rig.intake)
    assert list(plan(owner, rig.intake, PRICE, now()))
    assert [result for result in verify(rig.client, rig.archive, rig.intake, deep=True) if not result.ok] == []
    later = now().replace(year=MOMENT.year + 1)
    assert [result.outcome for result in compress_aged(rig.archive, METRICS, later)] == ["refused"]
    for dataset in DATASETS.values():
        archive.run("owner", f"truncate {dataset.table}")
