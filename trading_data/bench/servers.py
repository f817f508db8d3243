"""The servers of the benches, which never touch a user's data.

On a server given by URL, the archive gets a temporary database, and the live tier must be an empty database, which is emptied
again. Without URLs, embedded servers run in a temporary home. The user's TRADING_DATA_HOME is not touched.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.sql import SQL, Identifier
from sqlalchemy import make_url

from trading_data.archive.database import Archive, create_database, session_parameters
from trading_data.archive.schema.migrate import migrate
from trading_data.bench.rows import Bars, journal
from trading_data.datasets import DATASETS
from trading_data.errors import ArchiveTierError, Refused
from trading_data.intake.store import Intake
from trading_data.live.connection import Client, connect_for_archiver, live_errors
from trading_data.live.writes import is_cluster
from trading_data.local.servers import Stack
from trading_data.settings import (
    BACKUP_URI,
    DAGSTER_URL,
    HOME,
    INTAKE_URI,
    REDIS_URL,
    START,
    TIMESCALE_URL,
    Settings,
    without_password,
)
from trading_data.times import day_start

_CLEARED = """
    select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'archive_migration'
"""


class BenchRig:
    """Both tiers and an intake for benches only: `clean` empties them."""

    def __init__(self, settings: Settings, *, embedded: tuple[str, ...] = ()) -> None:
        """`settings` has both URLs and a temporary home; `embedded` names the tiers without a given URL."""
        self.settings, self.embedded = settings, embedded
        self.earliest = day_start(settings.start)

    @cached_property
    def client(self) -> Client:
        """The live tier, connected as by the archiver."""
        return connect_for_archiver(self.settings.require_redis_url())

    @cached_property
    def archive(self) -> Archive:
        """The archive tier."""
        return Archive(self.settings.require_timescale_url())

    @property
    def intake(self) -> Intake:
        """The intake."""
        return Intake(self.settings.intake_uri)

    @property
    def plain_url(self) -> str:
        """The archive's URL as the programs of PostgreSQL take it."""
        return _plain(self.settings.require_timescale_url())

    @property
    def env(self) -> dict[str, str]:
        """The environment for processes that use these servers."""
        settings = self.settings
        given = {
            REDIS_URL: settings.redis_url,
            TIMESCALE_URL: settings.timescale_url,
            DAGSTER_URL: settings.dagster_url,
            HOME: str(settings.home),
            INTAKE_URI: settings.intake_uri,
            BACKUP_URI: settings.backup_uri,
            START: settings.start.isoformat(),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        return {**os.environ, **{name: value for name, value in given.items() if value}}

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A plain connection to the archive in autocommit mode, for references."""
        url = self.settings.require_timescale_url()
        connection = psycopg2.connect(self.plain_url, **session_parameters(url))
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def clean(self) -> None:
        """Empty both tiers and the intake."""
        with live_errors(self.client):
            self.client.flushdb()
        self.clean_archive()

    def clean_intake(self) -> None:
        """Empty the intake."""
        shutil.rmtree(self.settings.intake_uri, ignore_errors=True)

    def clean_archive(self) -> None:
        """Empty the archive tier and the intake."""
        self.clean_intake()
        views = [aggregate.name for dataset in DATASETS.values() for aggregate in reversed(dataset.aggregates)]
        with self.archive.transaction(snapshot=True) as cursor:
            cursor.execute(_CLEARED)
            tables = [name for (name,) in cursor.fetchall()]
        for name in [*tables, *views]:
            with self.archive.transaction() as cursor:
                cursor.execute(SQL("truncate {}").format(Identifier(name)))

    def journalled(self, bars: Bars, first_ms: int = 1_700_000_000_000) -> None:
        """Empty the live tier and write the bars into its journals, with the same entry ids every time."""
        with live_errors(self.client):
            self.client.flushdb()
        journal(self.client, bars, first_ms)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        self.archive.close()


@contextmanager
def serve(given: Settings, say: Callable[[str], None] = lambda _: None) -> Iterator[BenchRig]:
    """Provide servers for benches; those that `given` does not name are embedded. On exit everything created is removed.

    Raises:
        Refused: the live tier's URL names a database that has keys, or a cluster.
        ServerError: a server does not answer or cannot be started.
    """
    if given.redis_url:
        _refuse_unless_empty(given.redis_url)
    home = Path(tempfile.mkdtemp(prefix="trading_data_bench_"))
    scratch = replace(given, home=home, intake_uri=str(home / "intake"), backup_uri=str(home / "backups"))
    try:
        with _running(scratch, say) as running, _own_database(running, given) as own:
            tiers = (("live", given.redis_url), ("archive", given.timescale_url))
            rig = BenchRig(own, embedded=tuple(name for name, url in tiers if not url))
            try:
                migrate(rig.archive)
                yield rig
                rig.clean()
            finally:
                if given.redis_url:
                    rig.client.flushdb()
                rig.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _running(settings: Settings, say: Callable[[str], None]) -> Iterator[Settings]:
    if settings.redis_url and settings.timescale_url:
        yield settings
        return
    stack = Stack(settings)
    try:
        yield stack.start(say)
    finally:
        stack.stop()


@contextmanager
def _own_database(settings: Settings, given: Settings) -> Iterator[Settings]:
    """Two temporary databases on a server given by URL, for the archive and for Dagster's storage."""
    url = given.timescale_url
    if not url:
        yield settings
        return
    names = [f"trading_data_bench_{os.getpid()}{suffix}" for suffix in ("", "_dagster")]
    archive, dagster = (make_url(url).set(database=name).render_as_string(hide_password=False) for name in names)
    try:
        for name in names:
            _execute(url, create_database(name))
        yield replace(settings, timescale_url=archive, dagster_url=dagster)
    finally:
        for name in names:
            _execute(url, SQL("drop database if exists {} with (force)").format(Identifier(name)))


def _execute(url: str, command: Any) -> None:
    try:
        connection = psycopg2.connect(_plain(url))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(command)
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise ArchiveTierError(
            f"no temporary database could be created on the server of {without_password(url)}: {str(error).strip()}. "
            f"Name a server where this account may create databases, or unset {TIMESCALE_URL}"
        ) from error


def _refuse_unless_empty(url: str) -> None:
    client = connect_for_archiver(url)
    try:
        if is_cluster(client):
            raise Refused(
                f"{REDIS_URL} names a cluster, but benches send raw commands to one server: name a single, empty server"
            )
        with live_errors(client):
            keys = client.dbsize()
        if keys:
            raise Refused(
                f"{REDIS_URL} names a database with {keys:,} keys, and the benches empty it: name an empty one "
                "(another number behind the last slash), or unset it for an embedded server"
            )
    finally:
        client.close()


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg2://", "postgresql://", 1)
