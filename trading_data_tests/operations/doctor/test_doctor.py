"""`trading-data doctor`: the page, its order and its exit code, with servers that answer and servers that do not."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from trading_data.cli.main import group, main
from trading_data.datasets import TRADE
from trading_data.operations.alerts.notify import notify
from trading_data.operations.alerts.state import StorageMemory
from trading_data.orchestration.declared import ALL_JOBS
from trading_data_tests.operations.alerts.receivers import Kept, error, hook
from trading_data_tests.orchestration.ticks import end_run, started_run
from trading_data_tests.rig import Rig, fill

NOWHERE = {
    "TRADING_DATA_REDIS_URL": "redis://me:hunter2@127.0.0.1:1/0",
    "TRADING_DATA_TIMESCALE_URL": "postgresql://me:hunter2@127.0.0.1:1/trading",
}
Doctor = Callable[..., tuple[int, str]]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """The command in this process: exit code and what it prints. Figures are measured, and by default not judged."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("trading_data.operations.health.collect.THRESHOLDS", ())
    monkeypatch.setattr("trading_data.operations.backup.metrics.BACKUPS", ())

    def called(*arguments: str, **env: str) -> tuple[int, str]:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["trading-data", "doctor", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().out
        assert "hunter2" not in said
        return int(ended.value.code or 0), said

    return called


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the test's home."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def keys(said: str) -> list[str]:
    return [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith(("ERROR ", "WARN "))]


def test_nothing_is_wrong(rig: Rig, doctor: Doctor) -> None:
    code, said = doctor()
    assert code == 0
    assert said.startswith("nothing is wrong; checked:\n")
    for fact in (
        "live tier: ",
        "archive tier: TimescaleDB",
        ", postgresql://",  # as `psql` takes it
        "takes writes",
        "alerts go to the log",
        "0 complete backups",
    ):
        assert fact in said
    assert not list((Path(rig.settings.intake_uri) / "doctor").iterdir())


def test_both_tiers_away(rig: Rig, doctor: Doctor) -> None:
    code, said = doctor(**NOWHERE)
    assert code == 1
    assert said.startswith("ERROR redis_away: the live tier at redis://127.0.0.1:1/0 does not answer")
    assert keys(said) == ["redis_away", "timescale_away"]
    assert "  run: trading-data services start\n" in said
    assert "2 errors, 0 warnings; checked:" in said


@pytest.mark.parametrize(("name", "key"), [("REDIS", "redis_away"), ("TIMESCALE", "timescale_away")])
def test_one_tier_away(rig: Rig, doctor: Doctor, name: str, key: str) -> None:
    variable = f"TRADING_DATA_{name}_URL"
    code, said = doctor(**{variable: NOWHERE[variable]})
    assert (code, keys(said)) == (1, [key])
    assert ("archive tier: " in said) == (name == "REDIS")


def test_no_server_at_all(doctor: Doctor, tmp_path: Path) -> None:
    unset = dict.fromkeys(("TRADING_DATA_REDIS_URL", "TRADING_DATA_TIMESCALE_URL", "DAGSTER_POSTGRES_URL"), "")
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: {env: DAGSTER_POSTGRES_URL}}}\n"
    )
    code, said = doctor(**unset, TRADING_DATA_HOME=str(tmp_path), TRADING_DATA_INTAKE_URI="")
    assert (code, keys(said)) == (1, ["redis_away", "timescale_away", "dagster_away"])
    assert said.startswith("ERROR redis_away: TRADING_DATA_REDIS_URL is not set")


def test_a_schema_of_another_release(rig: Rig, doctor: Doctor) -> None:
    newest = "(select max(name) from archive_migration)"
    ((name, digest, moment),) = rig.query(
        f"delete from archive_migration where name = {newest} returning name, sha256, applied_at"
    )
    try:
        code, said = doctor()
    finally:
        rig.query("insert into archive_migration values (%s, %s, %s) returning true", name, digest, moment)
    assert (code, keys(said)) == (1, ["timescale_schema"])
    assert f"{name} is not applied" in said
    assert "run: trading-data migrate" in said


def test_drift_and_an_intake_that_takes_nothing(rig: Rig, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rig.query("select set_chunk_time_interval('trade_data', interval '7 days') is null")
    try:
        code, said = doctor(TRADING_DATA_INTAKE_URI=str(tmp_path / "file" / "intake"))
    finally:
        rig.query("select set_chunk_time_interval('trade_data', interval '1 day') is null")
    assert code == 1
    assert keys(said)[-1] == "drift"
    assert "intake" in keys(said)
    assert "declared is one day" in said


def test_an_intake_that_cannot_be_opened(rig: Rig, doctor: Doctor) -> None:
    code, said = doctor(TRADING_DATA_INTAKE_URI="nowhere://bucket/intake")
    assert (code, keys(said)) == (1, ["intake"])
    assert "TRADING_DATA_INTAKE_URI names nowhere://bucket/intake" in said


def test_a_threshold_crossed(rig: Rig, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    from trading_data.operations.health.rules import THRESHOLDS

    monkeypatch.setattr(
        "trading_data.operations.health.collect.THRESHOLDS",
        [threshold for threshold in THRESHOLDS if threshold.key == "redis_memory"],
    )
    used = rig.client.info("memory")["used_memory"]
    limit = rig.client.config_get("maxmemory")["maxmemory"]
    rig.client.config_set("maxmemory", int(used * 1.1))
    try:
        code, said = doctor("--json")
    finally:
        rig.client.config_set("maxmemory", str(limit))
    page = json.loads(said)
    (found,) = page["findings"]
    assert (code, page["wrong"], found["key"]) == (1, True, "redis_memory")
    assert found["value"] > found["limit"]
    assert found["command"]


def test_lost_entries(rig: Rig, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    from trading_data.operations.health.rules import OF_LOST

    monkeypatch.setattr("trading_data.operations.health.collect.THRESHOLDS", OF_LOST)
    rig.store.record_trades([fill()])
    rig.archive_all(TRADE)
    assert doctor()[0] == 0
    rig.store.record_trades([fill(f"o{number}") for number in range(2, 5)])
    rig.client.xtrim("journal:trade", maxlen=1, approximate=False)
    rig.archive_all(TRADE)
    code, said = doctor()
    assert (code, keys(said)) == (1, ["journal_lost.trade"])
    assert "2 trade entries or more are lost" in said
    assert "journal:trade after " in said
    command = said.partition("  run: ")[2].splitlines()[0]
    assert CliRunner().invoke(group, shlex.split(command)[1:]).exit_code == 0
    assert doctor()[0] == 0


def test_no_backup(rig: Rig, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    from trading_data.operations.health.rules import BACKUPS

    monkeypatch.setattr("trading_data.operations.backup.metrics.BACKUPS", BACKUPS)
    code, said = doctor(TRADING_DATA_BACKUP_URI=rig.settings.backup_uri)
    assert code == 1
    assert keys(said)[0].startswith("backup_missing")


def test_what_dagster_knows(rig: Rig, doctor: Doctor, instance: dg.DagsterInstance) -> None:
    end_run(instance, started_run(instance), dg.DagsterRunStatus.FAILURE)
    kept = Kept()
    kept.fails = "the webhook https://h answered 500"
    notify(StorageMemory(instance.daemon_cursor_storage), [kept], [error()], 0.0, 60.0)
    code, said = doctor()
    assert (code, keys(said)) == (1, ["daemon", "run_failure.archive_job", "alerts_undelivered.webhook"])
    assert "alerts do not arrive by webhook, tried 1 times: the webhook https://h answered 500" in said
    assert f"{len(ALL_JOBS)} jobs and" in said


def test_tells_what_dagster_cannot_tell_itself(rig: Rig, doctor: Doctor, instance: dg.DagsterInstance) -> None:
    from dagster._daemon.types import DaemonHeartbeat

    from trading_data.times import now

    with hook() as told:
        end_run(instance, started_run(instance), dg.DagsterRunStatus.FAILURE)
        for _ in range(2):
            assert doctor("--tell", TRADING_DATA_ALERT_WEBHOOK=told.url)[0] == 1
        assert told.told() == [("new", "daemon")]
        for name in instance.get_required_daemon_types():
            instance.add_daemon_heartbeat(DaemonHeartbeat(now().timestamp(), name, "here", []))
        doctor("--tell")
        assert told.told() == [("new", "daemon"), ("cleared", "daemon")]


def test_wrong_settings_of_alerts(rig: Rig, doctor: Doctor) -> None:
    env: dict[str, Any] = {"TRADING_DATA_ALERT_EMAIL": "smtp://me:hunter2@h?from=a@b&to=c@d"}
    code, said = doctor(**env)
    assert (code, keys(said)) == (1, ["alert_settings"])
