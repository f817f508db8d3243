"""The settings of a session are ours, whatever a role, a database, the environment or the URL says; text is stored as UTF-8."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.sql import SQL
from sqlalchemy import make_url

from trading_data.archive.chunks import chunks, compress
from trading_data.archive.database import Archive, create_database, create_database_command, session_parameters
from trading_data.archive.schema import migrate as migrate_module
from trading_data.archive.schema.migrate import check_encoding, migrate
from trading_data.archive.schema.roles import LOGINS, Roles, make_roles
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import WrongEncoding
from trading_data.operations.backup.dump import make_database
from trading_data.operations.doctor.examine import examine
from trading_data.operations.health.thresholds import Finding
from trading_data.settings import DAGSTER_URL, TIMESCALE_URL, Settings
from trading_data.times import now
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

SERVER = os.environ.get(TIMESCALE_URL, "")
NAME = f"trading_data_session_{os.getpid()}"
"""Of a database, and of a role, of this module's own."""
needs_url = pytest.mark.skipif(
    not SERVER, reason=f"the embedded server has one role and one database, of UTF8: set {TIMESCALE_URL}"
)
HOSTILE = {
    "backslash_quote": "on",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "datestyle": "German, DMY",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "0",
    "intervalstyle": "iso_8601",
    "quote_all_identifiers": "on",
    "search_path": "pg_catalog",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "timezone": "Asia/Tokyo",
}
OURS = {
    "backslash_quote": "safe_encoding",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "datestyle": "ISO, MDY",
    "default_transaction_isolation": "read committed",
    "extra_float_digits": "1",
    "intervalstyle": "postgres",
    "quote_all_identifiers": "off",
    "search_path": "public",
    "standard_conforming_strings": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
}
_SETTINGS = "select lower(name), setting from pg_settings where lower(name) = any(%(names)s)"
TEXT = "Börse Zürich ☃ Ωµ"
SUM = 0.1 + 0.2
TINY = 1.2345678901234567e-300


def plain(url: str, **changed: Any) -> str:
    return make_url(url).set(drivername="postgresql", **changed).render_as_string(hide_password=False)


def run(url: str, *statements: Any) -> None:
    """By the account of the URL, each statement by itself."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def database(name: str, made_by: Any) -> Iterator[str]:
    """The URL of a database of one's own on the server that is given."""
    run(plain(SERVER), f'drop database if exists "{name}"', made_by)
    try:
        yield plain(SERVER, database=name).replace("postgresql", "postgresql+psycopg2", 1)
    finally:
        run(plain(SERVER), f'drop database if exists "{name}" with (force)')


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A migrated database, whose defaults a test may change."""
    with database(NAME, create_database(NAME)) as url:
        migrate(Archive(url))
        yield url


@contextmanager
def rig_with(rig: Rig, url: str, defaults: Mapping[str, str]) -> Iterator[Rig]:
    """A rig on the database at `url`, which gives every session these settings."""
    changes = [f"alter database \"{NAME}\" set {name} = '{value}'" for name, value in defaults.items()]
    run(plain(SERVER), *changes)
    made = Rig(replace(rig.settings, timescale_url=url))
    try:
        made.clean()
        yield made
    finally:
        made.close()
        run(plain(SERVER), f'alter database "{NAME}" reset all')


def settings_in(cursor: Cursor) -> dict[str, str]:
    cursor.execute(_SETTINGS, {"names": list(OURS)})
    return dict(cursor.fetchall())


def settings_of(archive: Archive) -> dict[str, dict[str, str]]:
    """What is in force, by the way in which the archive is used."""
    settings = {}
    with archive.transaction() as cursor:
        settings["transaction"] = settings_in(cursor)
    with archive.transaction(snapshot=True) as cursor:
        settings["snapshot"] = settings_in(cursor)
    settings["ask"] = dict(archive.ask(SQL(_SETTINGS).format(), {"names": list(OURS)}))
    with archive.autocommit() as cursor:
        settings["autocommit"] = settings_in(cursor)
    archive.close()
    return settings


EVERYWHERE = dict.fromkeys(("transaction", "snapshot", "ask", "autocommit"), OURS)


def options(settings: Mapping[str, str]) -> str:
    escaped = {name: value.replace(" ", r"\ ") for name, value in settings.items() if name != "client_encoding"}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def test_the_url_changes_no_setting(rig: Rig) -> None:
    url = make_url(rig.archive.url).update_query_dict({"options": options(HOSTILE), "client_encoding": "LATIN1"})
    assert settings_of(Archive(url.render_as_string(hide_password=False))) == EVERYWHERE


def test_other_options_of_the_url_and_of_the_environment_are_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url(rig.archive.url).update_query_dict({"options": "-c work_mem=7MB"})
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=9MB")
    for address, expected in ((url.render_as_string(hide_password=False), "7MB"), (rig.archive.url, "9MB")):
        with closing(Archive(address)) as archive, archive.transaction() as cursor:
            cursor.execute("show work_mem")
            assert cursor.fetchone() == (expected,)


def test_the_environment_changes_no_setting(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"PGTZ": "timezone", "PGDATESTYLE": "datestyle", "PGCLIENTENCODING": "client_encoding"}
    for variable, name in variables.items():
        monkeypatch.setenv(variable, HOSTILE[name])
    monkeypatch.setenv("PGOPTIONS", options(HOSTILE))
    settings = settings_of(Archive(rig.archive.url))
    # libpq sends these two behind the options; psycopg2 then asks for ISO dates, and no procedure depends on the time zone.
    alone = settings.pop("autocommit")
    assert {**alone, "timezone": "UTC", "datestyle": "ISO, MDY"} == OURS
    assert settings == dict.fromkeys(settings, OURS)


def test_a_pooler_that_ignores_how_a_connection_is_opened(rig: Rig) -> None:
    """It hands us a session with other settings; those that psycopg2 reads when it connects, poolers do pass on."""
    late = HOSTILE.keys() - {
        "backslash_quote", "client_encoding", "default_transaction_isolation", "standard_conforming_strings"
    }  # fmt: skip
    archive = Archive(rig.archive.url)
    with archive.autocommit() as cursor:
        for name in late:
            cursor.execute("select set_config(%s, %s, false)", (name, HOSTILE[name]))
    settings = settings_of(archive)
    assert settings.pop("autocommit").items() >= {(name, HOSTILE[name]) for name in late}
    assert settings == dict.fromkeys(settings, OURS)


@needs_url
def test_a_database_changes_no_setting(rig: Rig, own_url: str) -> None:
    with rig_with(rig, own_url, HOSTILE):
        assert settings_of(Archive(own_url)) == EVERYWHERE


@needs_url
@pytest.mark.parametrize("within", ["", f' in database "{NAME}"'], ids=["everywhere", "in one database"])
def test_a_role_changes_no_setting(own_url: str, within: str) -> None:
    role = f'"{NAME}"'
    run(plain(SERVER), f"create role {role} superuser login password '{NAME}'")
    try:
        changes = [f"alter role {role}{within} set {name} = '{value}'" for name, value in HOSTILE.items()]
        run(plain(SERVER), *changes)
        url = make_url(own_url).set(username=NAME, password=NAME).render_as_string(hide_password=False)
        assert settings_of(Archive(url)) == EVERYWHERE
        with closing(psycopg2.connect(plain(url), **session_parameters(url))) as connection:
            assert settings_in(connection.cursor()) == OURS
    finally:
        run(plain(SERVER), f"drop role {role}")


@needs_url
@pytest.mark.parametrize("defaults", [{"client_encoding": "LATIN1"}, {"client_encoding": "SQL_ASCII"}, HOSTILE])
def test_text_comes_back_as_it_was(rig: Rig, own_url: str, defaults: Mapping[str, str]) -> None:
    with rig_with(rig, own_url, defaults) as own:
        own.store.record_prices([bar(source=TEXT)])
        own.store.record_trades([fill(strategy=rf"{TEXT} \ ' \n", source=TEXT)])
        assert [one.inserted for dataset in (PRICE, TRADE) for one in own.archive_all(dataset)] == [1, 1]
        own.client.flushdb()
        assert own.reader.prices(None, MOMENT, now())["source"].tolist() == [TEXT]
        assert own.reader.trades(None, MOMENT, now())["strategy"].tolist() == [rf"{TEXT} \ ' \n"]
        with closing(psycopg2.connect(plain(own_url), client_encoding="UTF8", options="")) as connection:
            cursor = connection.cursor()
            cursor.execute("select source from public.price_data union all select source from public.trade_data")
            assert cursor.fetchall() == [(TEXT,), (TEXT,)]


@needs_url
@pytest.mark.parametrize("defaults", [{"extra_float_digits": "0"}, {"extra_float_digits": "-15"}, HOSTILE])
@pytest.mark.parametrize("value", [SUM, TINY])
def test_a_double_keeps_all_its_digits(rig: Rig, own_url: str, defaults: Mapping[str, str], value: float) -> None:
    with rig_with(rig, own_url, defaults) as own:
        own.store.record_metrics([measurement(value=value)])
        own.archive_all(METRICS)
        own.client.flushdb()
        assert own.reader.metrics(None, MOMENT, now())["value"].tolist() == [value]
        assert own.query("select value from metrics_data") == [(value,)]
        own.store.record_metrics([measurement(value=7.0)])
        assert [one.replaced for one in own.archive_all(METRICS)] == [1]
        ((kept,),) = own.query("select old->>'value' from archive_revision")
        assert float(kept) == value


@needs_url
def test_a_commit_is_durable_when_it_is_answered(rig: Rig, own_url: str) -> None:
    with rig_with(rig, own_url, {"synchronous_commit": "off"}) as own, own.archive.transaction() as cursor:
        cursor.execute("show synchronous_commit")
        assert cursor.fetchone() == ("on",)


@needs_url
def test_chunks_and_aggregates_are_found_by_name_and_by_time(rig: Rig, own_url: str) -> None:
    with rig_with(rig, own_url, HOSTILE) as own:
        own.store.record_prices([bar("A", minute) for minute in range(10)])
        own.archive_all(PRICE)
        own.client.flushdb()
        assert own.reader.prices(["A"], MOMENT, now(), "1h")["bucket"].tolist() == [MOMENT]
        (chunk,) = chunks(own.archive, PRICE)
        compress(own.archive, chunk)
        assert [(chunk.day, chunk.compressed) for chunk in chunks(own.archive, PRICE)] == [(MOMENT.date(), True)]


@needs_url
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_refused_and_the_command_makes_a_right_one(rig: Rig, encoding: str) -> None:
    name = f"{NAME}_other"
    with database(name, _create(name, encoding)) as url:
        with pytest.raises(WrongEncoding, match=rf"stores text as {encoding}, but the archive needs UTF8") as raised:
            migrate(Archive(url))
        error = raised.value
        assert f"`{error.command}`" in str(error)
        with closing(psycopg2.connect(plain(url))) as connection, connection.cursor() as cursor:
            cursor.execute("select from pg_class where relnamespace = 'public'::regnamespace")
            assert cursor.rowcount == 0  # nothing was made
        (found,) = doctors_word(rig, url)
        assert (found.message, found.command) == (str(error), error.command)
        try:
            run_as_printed(found.command, url)
            made = make_url(url).set(database=f"{name}_utf8").render_as_string(hide_password=False)
            with closing(Archive(made)) as archive:
                assert migrate(archive)
                with archive.transaction() as cursor:
                    cursor.execute("show server_encoding")
                    assert cursor.fetchone() == ("UTF8",)
            assert doctors_word(rig, made) == []
        finally:
            run(plain(SERVER), f'drop database if exists "{name}_utf8" with (force)')


@needs_url
def test_the_doctor_tells_of_an_archive_that_was_made_in_another_encoding(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{NAME}_older"
    with database(name, _create(name, "LATIN1")) as url:
        with monkeypatch.context() as earlier, closing(Archive(url)) as archive:
            earlier.setattr(migrate_module, "check_encoding", lambda _: None)
            migrate(archive)
        (finding,) = doctors_word(rig, url)
        assert "stores text as LATIN1" in finding.message


@pytest.mark.skipif(bool(os.environ.get(DAGSTER_URL)), reason="it changes what the server makes databases from")
@pytest.mark.parametrize("way", ["roles", "restore"])
def test_databases_that_we_make_are_right_on_a_server_of_another_encoding(servers: Settings, way: str) -> None:
    server = str(servers.dagster_url)
    url = make_url(server).set(database=NAME).render_as_string(hide_password=False)
    change = "update pg_database set encoding = pg_char_to_encoding('{}') where datname = 'template1'"
    roles = Roles(NAME)
    run(plain(server), change.format("SQL_ASCII"))
    try:
        if way == "roles":
            make_roles(url, roles, dict.fromkeys(LOGINS, "secret"))
        else:
            assert make_database(url)
        with closing(Archive(url)) as archive:
            check_encoding(archive)
    finally:
        run(plain(server), change.format("UTF8"), f'drop database if exists "{NAME}" with (force)')
        run(plain(server), *(f'drop role if exists "{getattr(roles, name)}"' for name in (*LOGINS, "aggregates")))


def test_the_command_has_no_password_and_is_quoted_for_a_shell() -> None:
    url = "postgresql+psycopg2://me:hunter2@db:5433/Tra%20\"de's?sslmode=require&sslpassword=hunter2&options=-c%20a%3Db"
    command = create_database_command(url)
    assert "hunter2" not in command
    done = subprocess.run(["/bin/sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "trading-data", "psql", "--owner", "-c",
        "create database \"Tra \"\"de's_utf8\" encoding 'UTF8' template template0 lc_collate 'C' lc_ctype 'C'",
    ]  # fmt: skip


def _create(name: str, encoding: str) -> str:
    return f"create database \"{name}\" encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"


def doctors_word(rig: Rig, url: str) -> list[Finding]:
    """What is wrong with the database at `url`."""
    page = examine(replace(rig.settings, timescale_url=url), now())
    return [finding for finding in page.findings if finding.key == "timescale_schema"]


def run_as_printed(command: str, url: str) -> None:
    """In a shell that has the virtual environment only."""
    env = {**os.environ, TIMESCALE_URL: url, "PATH": str(Path(sys.executable).parent)}
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
