"""Monitoring, backup and restore, each as the user and role of the deployment, on real servers.

The embedded TimescaleDB has one user: this asks for a server by URL.
"""

import os
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from click.testing import CliRunner
from sqlalchemy import make_url

from trading_data import LiveStore
from trading_data.archive.database import Archive
from trading_data.archive.schema.roles import LOGINS, Roles
from trading_data.cli.main import group
from trading_data.datasets import PRICE
from trading_data.errors import ArchiveTierError, BackupError
from trading_data.operations.backup.drill import restore_drill
from trading_data.operations.backup.manifest import chosen
from trading_data.operations.exporter.server import Exporter
from trading_data.operations.maintenance.compression import compress_aged
from trading_data.settings import (
    ADMIN_URL,
    BACKUP_URI,
    INTAKE_URI,
    OWNER_URL,
    REDIS_BACKUP_URL,
    REDIS_URL,
    TIMESCALE_URL,
    Settings,
)
from trading_data.times import now
from trading_data_tests.live.servers import folder
from trading_data_tests.rig import MOMENT, Rig, bar
from trading_data_tests.security.users import server_with_users

SERVER = os.environ.get(TIMESCALE_URL, "")
ROLES = Roles(f"td_least_{os.getpid()}")
pytestmark = pytest.mark.skipif(not SERVER, reason=f"the embedded TimescaleDB has one user: set {TIMESCALE_URL}")


def _admin(database: str) -> str:
    return make_url(SERVER).set(database=database, drivername="postgresql").render_as_string(hide_password=False)


def _by_superuser(*statements: str) -> None:
    with closing(psycopg2.connect(_admin("postgres"))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """The addresses of both tiers by user or role, the archive made by `trading-data roles`."""
    for name in LOGINS:
        (tmp_path / f"{name}_password").write_text(f"{name}:/@ secret")
    monkeypatch.setenv(ADMIN_URL, _admin(ROLES.prefix))
    database = make_url(SERVER).set(database=ROLES.prefix, drivername="postgresql+psycopg2")

    with folder() as path, server_with_users(path) as place:

        def address(who: str) -> str:
            if who in LOGINS:
                role = database.set(username=getattr(ROLES, who), password=f"{who}:/@ secret")
                return role.render_as_string(hide_password=False)
            return f"redis://{who}:{quote(f'{who}/&:@ %secret', safe='')}@{place}/0"

        monkeypatch.setenv(REDIS_URL, address("archiver"))
        monkeypatch.setenv(REDIS_BACKUP_URL, address("backup"))
        monkeypatch.setenv(TIMESCALE_URL, address("writer"))
        monkeypatch.setenv(OWNER_URL, address("owner"))
        monkeypatch.setenv(BACKUP_URI, str(tmp_path / "backups"))
        monkeypatch.setenv(INTAKE_URI, str(tmp_path / "intake"))
        try:
            _make_roles(tmp_path)
            yield address
        finally:
            _by_superuser(f"drop database if exists {ROLES.prefix} with (force)")
            for name in (*LOGINS, "aggregates"):
                _by_superuser(f"drop role if exists {getattr(ROLES, name)}")


def _make_roles(passwords: Path) -> str:
    return _said("roles", "--prefix", ROLES.prefix, "--passwords", str(passwords), "--dagster-database", "")


def _said(*arguments: str) -> str:
    done = CliRunner().invoke(group, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_everybody_does_their_work(url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(LiveStore.from_url(url("feed"))) as feed:
        feed.record_prices([bar("ACME", minute) for minute in range(5)])
    rig = Rig(Settings.from_env())
    assert sum(batch.inserted for batch in rig.archive_all(PRICE)) == 5

    for role in ("writer", "reader"):
        monkeypatch.setenv(TIMESCALE_URL, url(role))
        assert "price balances" in _said("verify", "--deep")
        page = _said("doctor")
        assert "redis_away" not in page
        assert "timescale" not in "".join(line for line in page.splitlines() if line.startswith("ERROR"))
        with closing(Exporter(Settings.from_env(), port=0)) as exporter:
            figures = urllib.request.urlopen(exporter.url, timeout=60).read().decode()
        for tier in ("redis", "timescale", "flow"):
            assert f'trading_data_up{{tier="{tier}"}} 1.0' in figures
    monkeypatch.setenv(TIMESCALE_URL, url("writer"))

    with monkeypatch.context() as patch:
        patch.delenv(OWNER_URL)
        with pytest.raises(BackupError, match="privilege"):
            _said("backup")
    assert "5 rows" in _said("backup")
    backup = chosen(str(tmp_path / "backups"), None)
    with pytest.raises(ArchiveTierError, match="permission denied"):
        restore_drill(backup, url("owner"))
    assert restore_drill(backup, _admin("postgres").replace("postgresql", "postgresql+psycopg2", 1)).ok

    rig.close()
    _by_superuser(f"drop database {ROLES.prefix} with (force)")
    assert "is restored and equal" in _said(
        "restore", "--latest", "--tier", "timescale", "--timescale-url", _admin(ROLES.prefix)
    )
    assert f"{ROLES.writer} may insert price_data" in _make_roles(tmp_path)
    assert "may" not in _make_roles(tmp_path)
    with closing(LiveStore.from_url(url("feed"))) as feed:
        feed.record_prices([bar("ACME", 9)])
    rig = Rig(Settings.from_env())
    assert sum(batch.inserted for batch in rig.archive_all(PRICE)) == 1
    with closing(Archive(url("owner"))) as owner:
        assert [result.outcome for result in compress_aged(owner, PRICE, now().replace(year=MOMENT.year + 1))] == [
            "compressed"
        ]
    rig.close()
