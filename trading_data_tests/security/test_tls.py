"""TLS to the archive by URL and certificate files: verified servers are used, others refused.

TLS to the live tier: `live/test_connection.py`. The embedded TimescaleDB speaks none, so this asks for a server by URL.
"""

import os

import psycopg2
import pytest
from sqlalchemy import make_url

from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.datasets import METRICS
from trading_data.errors import ArchiveTierError
from trading_data.settings import TIMESCALE_URL, Settings
from trading_data_tests.rig import Rig, measurement

TLS_URL = "TRADING_DATA_TEST_TLS_URL"
OTHER_CA = "TRADING_DATA_TEST_OTHER_CA"
pytestmark = pytest.mark.skipif(
    not os.environ.get(TLS_URL),
    reason=f"no TimescaleDB with TLS: {TLS_URL} is its URL with sslmode=verify-full and sslrootcert, {OTHER_CA} another CA's file",
)


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(TIMESCALE_URL, os.environ.get(TLS_URL, ""))
    return Settings.from_env().require_timescale_url()


def test_the_whole_way_goes_over_tls(rig: Rig, secure: str) -> None:
    name = f"trading_data_tls_{os.getpid()}"
    plain = make_url(secure).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain)
    connection.autocommit = True
    connection.cursor().execute(f"create database {name}")
    try:
        rig.archive = Archive(make_url(secure).set(database=name).render_as_string(hide_password=False))
        migrate(rig.archive)
        rig.store.record_metrics([measurement()])
        assert sum(batch.inserted for batch in rig.archive_all(METRICS)) == 1
        assert rig.query("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")[0][0] is True
        rig.archive.close()
    finally:
        connection.cursor().execute(f"drop database if exists {name} with (force)")
        connection.close()


@pytest.mark.parametrize("wrong", [{"sslmode": "disable"}, {"sslrootcert": os.environ.get(OTHER_CA, "/nonexistent")}])
def test_what_cannot_be_verified_is_refused(secure: str, wrong: dict[str, str]) -> None:
    archive = Archive(make_url(secure).update_query_dict(wrong).render_as_string(hide_password=False))
    with pytest.raises(ArchiveTierError):
        migrate(archive)
