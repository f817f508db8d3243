"""The life of an alert on a real instance: a webhook that is away for an hour, a job that flaps, a restart in between."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from trading_data.operations.alerts.channels import LogChannel
from trading_data.operations.alerts.message import Message
from trading_data.operations.alerts.state import Alert
from trading_data_tests.operations.alerts.receivers import Hook
from trading_data_tests.operations.alerts.watching import Watch, new
from trading_data_tests.orchestration.ticks import end_run, started_run
from trading_data_tests.rig import Rig, local_instance

FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
ARCHIVE, RETENTION = "run_failure.archive_job", "run_failure.retention_job"
UNDELIVERED = "alerts_undelivered.webhook"


class Log:
    """What the sensor writes to its log."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alerts: list[Alert] = []
        send = LogChannel.send

        def sent(channel: LogChannel, message: Message) -> None:
            send(channel, message)
            self.alerts += message.alerts

        monkeypatch.setattr(LogChannel, "send", sent)

    def about(self, key: str) -> list[str]:
        """The status of each alert of a key."""
        return [alert.status for alert in self.alerts if alert.finding.key == key]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Collects alerts while a test runs."""
    return Log(monkeypatch)


class Clock:
    """The clock of the sensor and of Dagster's events, which a test sets; it begins with the real time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
        self.now, self.watch = time.time(), watch
        monkeypatch.setattr("trading_data.orchestration.notifier.time", SimpleNamespace(time=lambda: self.now))
        monkeypatch.setattr("dagster._time._mockable_get_current_timestamp", lambda: self.now)
        monkeypatch.setattr(
            "dagster._time._mockable_get_current_datetime", lambda: datetime.fromtimestamp(self.now, UTC)
        )

    def tick(self, minutes: float) -> str:
        """A tick so many minutes later: its words."""
        self.now += minutes * 60
        said = self.watch.tick()
        self.now += 1  # runs end after a tick, not at the very moment of one
        return said


def ended(instance: dg.DagsterInstance, job: str, *statuses: dg.DagsterRunStatus) -> None:
    """Runs of a job that end one after the other."""
    for status in statuses:
        end_run(instance, started_run(instance, job), status)


def test_a_webhook_that_is_away_for_an_hour_misses_nothing(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had heard of one failure, which ends meanwhile; another begins and ends; a third stays."""
    clock = Clock(monkeypatch, Watch(instance))
    clock.tick(0)
    ended(instance, "archive_job", FAILURE)
    clock.tick(1)
    assert new(told, "run_") == [("new", ARCHIVE)]
    port = told.stop()
    ended(instance, "archive_job", SUCCESS)
    ended(instance, "retention_job", FAILURE, SUCCESS)
    ended(instance, "backup_job", FAILURE)
    assert "not by webhook" in clock.tick(1)
    for _ in range(6):
        assert "not by webhook" in clock.tick(10)
    assert log.about(ARCHIVE) == ["new", "cleared"]
    assert log.about(RETENTION) == ["new", "cleared"]
    assert log.about("run_failure.backup_job") == ["new", "still", "still"]
    assert log.about(UNDELIVERED) == ["new", "still"]
    told.start(port)
    clock.tick(1)
    first = new(told)
    assert sorted(first) == [
        ("cleared", ARCHIVE),
        ("new", UNDELIVERED),
        ("new", "run_failure.backup_job"),
        ("new", RETENTION),
    ]
    clock.tick(1)
    assert sorted(new(told)) == [("cleared", UNDELIVERED), ("cleared", RETENTION)]
    assert log.about(RETENTION) == ["new", "cleared"]
    clock.tick(1)
    assert new(told) == []


def test_a_job_that_flaps_is_told_no_more_often_than_one_that_stays_wrong(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, Watch(instance))
    arrived: list[tuple[int, str]] = []
    for minute in range(0, 65, 10):
        ended(instance, "archive_job", SUCCESS if minute % 20 else FAILURE)
        clock.tick(10)
        arrived += [(minute, status) for status, _ in new(told, ARCHIVE)]
    assert arrived == [(0, "new"), (10, "cleared"), (40, "new"), (50, "cleared")]
    assert log.about(ARCHIVE) == ["new", "cleared", "new", "cleared"]


def test_a_restart_neither_repeats_nor_forgets(
    rig: Rig, tmp_path: Path, told: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that loses the sensor's cursor: what was told is kept beside it."""
    for lost in (False, True):
        home = tmp_path / f"dagster-{lost}"
        home.mkdir()
        with local_instance(home) as before:
            clock = Clock(monkeypatch, Watch(before))
            clock.tick(0)
            ended(before, "archive_job", FAILURE)
            ended(before, "backup_job", FAILURE)
            clock.tick(1)
        assert sorted(new(told, "run_")) == [("new", ARCHIVE), ("new", "run_failure.backup_job")]
        with local_instance(home) as after:
            clock.watch = Watch(after) if lost else Watch(after, clock.watch.cursor)
            ended(after, "backup_job", SUCCESS)
            assert "1 wrong: run_failure.archive_job" in clock.tick(1)
            assert new(told, "run_") == [("cleared", "run_failure.backup_job")]
            clock.tick(30)
            assert new(told, "run_") == [("still", ARCHIVE)]
            ended(after, "archive_job", SUCCESS)
            clock.tick(1)
            assert new(told, "run_") == [("cleared", ARCHIVE)]


def test_a_kill_after_sending_tells_it_again_rather_than_never(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(instance, "archive_job", FAILURE)
    watch = Watch(instance)
    with monkeypatch.context() as killed:

        def kill(*_: object) -> None:
            raise KeyboardInterrupt

        killed.setattr("trading_data.operations.alerts.state.StorageMemory.save", kill)
        with pytest.raises(KeyboardInterrupt):
            watch.tick()
    first = new(told, "run_")
    watch.tick()
    assert first + new(told, "run_") in ([("new", ARCHIVE)] * number for number in (1, 2))
    watch.tick()
    assert new(told, "run_") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRADING_DATA_ALERT_EVERY", "never"),
        ("TRADING_DATA_ALERT_EMAIL", "smtp://nobody"),
        ("TRADING_DATA_ALERT_URL", "nothing://me:hunter2@h"),
        ("TRADING_DATA_ALERT_URL_FILE", "/nonexistent"),
    ],
)
def test_one_wrong_variable_leaves_the_other_channels(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    ended(instance, "archive_job", FAILURE)
    monkeypatch.setenv(name, value)
    assert "alert_settings" in Watch(instance).tick()
    assert name.removesuffix("_FILE") in json.dumps(told.bodies) or "/nonexistent" in json.dumps(told.bodies)
    assert "hunter2" not in json.dumps(told.bodies)
    assert sorted(new(told)) == [("new", "alert_settings"), ("new", ARCHIVE)]


def test_a_wrong_webhook_leaves_the_services_and_a_wrong_service_the_others(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(instance, "archive_job", FAILURE)
    monkeypatch.setenv("TRADING_DATA_ALERT_WEBHOOK", "ftp://h/x")
    monkeypatch.setenv("TRADING_DATA_ALERT_URL", f"slack://hunter2/x {told.url.replace('http:', 'json:')}")
    said = Watch(instance).tick()
    assert "by json" in said
    (body,) = told.bodies
    for words in ("must look like https://host/path, not ftp://…", "number 1, slack://… is not taken", ARCHIVE):
        assert words in body["message"]
    assert "hunter2" not in json.dumps(body)
