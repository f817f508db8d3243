"""Homes and servers for the tests of the embedded servers: real processes, in temporary folders."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest

from trading_data.local.servers import Stack
from trading_data.local.timescale import Timescale
from trading_data.settings import Settings


@contextmanager
def temporary_folder() -> Iterator[Path]:
    # Not pytest's folder: as root, pytest closes it to all other accounts, such as PostgreSQL's.
    folder = Path(tempfile.mkdtemp(prefix="trading_data-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings_of(home: Path, **urls: str) -> Settings:
    return Settings.from_env({"TRADING_DATA_HOME": str(home), **urls})


def connect(url: str, **options: Any) -> psycopg2.extensions.connection:
    connection: psycopg2.extensions.connection = psycopg2.connect(url.replace("+psycopg2", ""), **options)
    return connection


def first_value(connection: psycopg2.extensions.connection, sql: str) -> Any:
    """The first value of the first row, in a new transaction."""
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
        assert row is not None
        return row[0]


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def empty_database() -> Iterator[Path]:
    """The folder of a stopped, empty archive server; copying it is quicker than creating one."""
    with temporary_folder() as folder:
        server = Timescale(folder / "timescale")
        server.start()
        server.stop()
        yield server.folder


@pytest.fixture(scope="module")
def archive(empty_database: Path) -> Iterator[str]:
    """The URL of an archive server that ends transactions after one idle second."""
    with temporary_folder() as folder:
        server = Timescale(shutil.copytree(empty_database, folder / "timescale"), idle_in_transaction=1)
        server.start()
        yield server.url() or ""
        assert server.alive(), server.log_end(60)
        server.stop()


@pytest.fixture
def stack(home: Path, empty_database: Path) -> Iterator[Stack]:
    """All three servers of a home, started."""
    shutil.copytree(empty_database, home / "services" / "timescale")
    stack = Stack(settings_of(home), redis_maxmemory="64mb")
    stack.start()
    yield stack
    stack.stop()
