"""A secret in every URL appears nowhere after work that succeeds and work that fails."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import psycopg2
import pytest
from sqlalchemy import URL, make_url

from trading_data.cli.main import main
from trading_data.errors import SettingError
from trading_data.live.connection import connect
from trading_data.operations.alerts.settings import EMAIL, EMAIL_PASSWORD, WEBHOOK, WEBHOOK_TOKEN
from trading_data.operations.alerts.settings import URL as SERVICES
from trading_data.settings import (
    BACKUP_URI,
    DAGSTER_URL,
    HOME,
    OWNER_URL,
    REDIS_BACKUP_URL,
    REDIS_URL,
    TIMESCALE_URL,
    Settings,
    password_file,
    with_secrets,
    without_secrets,
)
from trading_data_tests.live.servers import Node, folder
from trading_data_tests.orchestration.ticks import run_archive
from trading_data_tests.rig import Rig, bar

SECRET = "plant3d-s%cr3t/@:x"
QUOTED = quote(SECRET, safe="")
Storage = tuple[dg.DagsterInstance, Callable[[], str]]
"""An instance, and all that its database holds, as text."""


def _secretly(url: str, user: str | None = None) -> str:
    parsed = make_url(url)
    return parsed.set(username=user or parsed.username, password=SECRET).render_as_string(hide_password=False)


@pytest.fixture
def guarded() -> Iterator[str]:
    """The URL of a live tier that asks for the secret."""
    with folder() as path, closing(Node(path)) as node:
        node.client.config_set("repl-diskless-sync-delay", 0)
        node.client.config_set("requirepass", SECRET)
        node.client.connection_pool.disconnect()
        yield f"redis://default:{QUOTED}@127.0.0.1:{node.port}/0"


@pytest.fixture
def storage(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Dagster's own storage in a database of PostgreSQL, named with the secret, and its home below `tmp_path`."""
    place = make_url(str(rig.settings.dagster_url)).set(drivername="postgresql")
    name = f"trading_data_secrets_{os.getpid()}"
    with closing(_connected(place)) as server:
        server.cursor().execute(f"create database {name}")
        monkeypatch.setenv(
            DAGSTER_URL, _secretly(str(rig.settings.dagster_url).replace(f"/{place.database}", f"/{name}"))
        )
        home = tmp_path / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text("storage: {postgres: {postgres_url: {env: DAGSTER_POSTGRES_URL}}}\n")
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        try:
            with dg.DagsterInstance.from_config(str(home)) as instance:
                yield instance, lambda: _everything_in(place.set(database=name))
        finally:
            server.cursor().execute(f"drop database {name} with (force)")


def _connected(url: URL) -> Any:
    connection = psycopg2.connect(url.render_as_string(hide_password=False))
    connection.autocommit = True
    return connection


def _everything_in(url: URL) -> str:
    with closing(_connected(url)) as connection, connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        texts = []
        for (name,) in cursor.fetchall():
            cursor.execute(f'select t::text from "{name}" t')
            texts += [text for (text,) in cursor.fetchall()]
        return "\n".join(texts)


def _is_clean(*texts: str) -> bool:
    return not any(secret in text for text in texts for secret in (SECRET, QUOTED))


def test_it_is_in_no_log_event_metadata_error_alert_or_backup(
    rig: Rig,
    guarded: str,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    instance, stored = storage
    right = _secretly(str(rig.settings.timescale_url))
    for name, value in {
        REDIS_URL: guarded,
        TIMESCALE_URL: right,
        HOME: str(tmp_path),
        BACKUP_URI: str(tmp_path / "backups"),
        WEBHOOK: f"http://127.0.0.1:1/{QUOTED}",
        WEBHOOK_TOKEN: SECRET,
        EMAIL: "smtp://me@127.0.0.1:1?from=a@example.com&to=b@example.com",
        EMAIL_PASSWORD: SECRET,
        SERVICES: f"json://me:{QUOTED}@127.0.0.1:1/{QUOTED}?+Authorization={QUOTED}",
    }.items():
        monkeypatch.setenv(name, value)
    with closing(connect(guarded)) as client:
        client.xadd("journal:price:AAPL", {**{k: str(v) for k, v in _fields().items()}})
    assert run_archive(instance).success
    monkeypatch.setenv(TIMESCALE_URL, _secretly("postgresql://nobody@127.0.0.1:1/none"))
    assert not run_archive(instance).success
    kept = stored()
    assert "does not answer" in kept
    assert len(kept) > 50_000
    assert _is_clean(kept)
    _command("status")
    _command("doctor --tell")
    monkeypatch.setenv(REDIS_URL, guarded.replace(QUOTED, f"{QUOTED}wrong"))
    _command("status")
    monkeypatch.setenv(REDIS_URL, guarded)
    monkeypatch.setenv(TIMESCALE_URL, right)
    for line in ("verify", "backup", "backup --list"):
        _command(line)
    out, err = capfd.readouterr()
    for output in (
        "does not answer",
        "could not be sent by webhook",
        "could not be sent by email",
        "could not be sent by json",
        "0 batches, 1 row",
        "balances",
    ):
        assert output in out + err
    assert _is_clean(out, err)
    assert list((tmp_path / "backups").glob("*/manifest.json"))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            assert QUOTED.encode() not in content, path


def _fields() -> dict[str, object]:
    record = bar()
    return {name: getattr(record, name) for name in ("open", "high", "low", "close", "volume", "source")} | {
        "timestamp": record.timestamp.isoformat()
    }


def _command(line: str) -> None:
    with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
        patch.setattr(sys, "argv", ["trading-data", *line.split()])
        main()


@pytest.mark.parametrize("name", [REDIS_URL, REDIS_BACKUP_URL, TIMESCALE_URL, OWNER_URL, DAGSTER_URL])
def test_a_url_or_its_password_comes_from_a_file(tmp_path: Path, name: str) -> None:
    scheme = "redis" if "REDIS" in name else "postgresql+psycopg2"
    (tmp_path / "url").write_text(f"{scheme}://me:{QUOTED}@host:1/0\n")
    (tmp_path / "password").write_text(SECRET + "\n")
    complete = {name: f"{scheme}://me:{QUOTED}@host:1/0"}
    by_file, by_password = {f"{name}_FILE": str(tmp_path / "url")}, {password_file(name): str(tmp_path / "password")}
    assert with_secrets(by_file) == complete
    assert with_secrets({name: f"{scheme}://me@host:1/0", **by_password}) == complete
    assert without_secrets({**by_file, **by_password, "X": "y"}) == {"X": "y"}
    assert _is_clean(repr(Settings.from_env(by_file)))
    for wrong in (
        {**complete, **by_file}, {**complete, **by_password}, by_password, {f"{name}_FILE": str(tmp_path / "none")},
        {f"{name}_FILE": str(tmp_path)}, {name: f"{scheme}://host:1/0", **by_password},
    ):  # fmt: skip
        with pytest.raises(SettingError, match=name.removesuffix("_URL")) as caught:
            Settings.from_env(wrong)
        assert _is_clean(str(caught.value))


def test_an_empty_file_is_no_password(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingError, match="one line"):
        Settings.from_env({REDIS_URL: "redis://a@b/0", password_file(REDIS_URL): str(tmp_path / "empty")})


def test_the_images_entrypoint_hands_dagster_its_url_and_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET)
    env = {"PATH": os.environ["PATH"], DAGSTER_URL: "postgresql://me@host/dagster", REDIS_URL: "redis://a@b/0"}
    env |= {password_file(variable): str(tmp_path / "password") for variable in (DAGSTER_URL, REDIS_URL)}
    command = [sys.executable, "-m", "trading_data.local.entrypoint", "env"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    lines = done.stdout.splitlines()
    assert f"{DAGSTER_URL}=postgresql+psycopg2://me:{QUOTED}@host/dagster" in lines
    assert f"{REDIS_URL}=redis://a@b/0" in lines
    assert f"{password_file(REDIS_URL)}={tmp_path / 'password'}" in lines


def test_batches_are_readable_by_their_owner_only(rig: Rig, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        rig.store.record_prices([bar()])
        rig.snapshot(rig.datasets["price"])
    finally:
        os.umask(before)
    paths = list((tmp_path / "intake").rglob("*"))
    assert any(path.is_file() for path in paths)
    for path in [tmp_path / "intake", *paths]:
        assert path.stat().st_mode & 0o777 == (0o600 if path.is_file() else 0o700), path
