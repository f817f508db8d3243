"""`alert_sensor` on a real instance: failed runs, red checks, tiers away, thresholds crossed, told and cleared."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from trading_data.archive.trim import trim_drained
from trading_data.archive.verify.lost import acknowledge_command
from trading_data.datasets import PRICE
from trading_data.operations.alerts.notify import NotifierState, undelivered
from trading_data.operations.alerts.state import StorageMemory
from trading_data.orchestration import run_findings
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.declared import declared_checks
from trading_data.orchestration.notifier import BACKUPS_EVERY
from trading_data.orchestration.run_findings import (
    failed_runs,
    red_checks,
    silent_daemons,
    stuck_runs,
)
from trading_data.times import now
from trading_data_tests.live.servers import Node
from trading_data_tests.operations.alerts.receivers import Hook
from trading_data_tests.operations.alerts.watching import Watch, alert, new
from trading_data_tests.orchestration.ticks import end_run, started_run, tick, today
from trading_data_tests.rig import Rig, bar

MB = 1_000_000
FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """One run of `archive_job` of one dataset."""
    chosen = [dg.AssetKey("price_snapshot"), dg.AssetKey("price_data")]
    job = build_defs().resolve_job_def("archive_job")
    return job.execute_in_process(
        instance=instance, partition_key=today(), asset_selection=chosen, raise_on_error=False
    )


def test_a_failed_run_and_a_red_check_are_told_and_cleared_by_the_next_that_are_not(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(instance)
    with monkeypatch.context() as without:
        without.setenv("TRADING_DATA_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
        failed = run(instance)
    assert not failed.success
    assert "run_failure.archive_job" in watch.tick()
    one = alert(told, "run_failure.archive_job")
    assert (one["status"], one["severity"]) == ("new", "error")
    assert "the live tier at redis://127.0.0.1:1/0 does not answer" in one["message"]
    assert f"/runs/{failed.run_id}" in one["message"]
    assert one["command"] == f"trading-data run archive_job --day {today()}"
    assert "hunter2" not in json.dumps(told.bodies)
    new(told)
    watch.tick()
    assert new(told, "run_failure") == []
    rig.client.set("stocks:price:ODD", "no hash")
    rig.entry("journal:price:ODD", {"timestamp": "yesterday"})
    assert run(instance).success
    watch.tick()
    one = alert(told, "check.price_snapshot.keys_as_declared")
    assert (one["status"], one["severity"], one["dataset"]) == ("new", "warn", "price")
    assert one["command"] == "trading-data redis-cli MONITOR"
    assert alert(told, "quarantine.price")["status"] == "new"
    assert "nothing_quarantined" not in json.dumps(told.bodies)  # said once, by the look
    assert new(told, "run_failure") == [("cleared", "run_failure.archive_job")]
    rig.client.delete("stocks:price:ODD")
    assert run(instance).success
    assert "check." not in watch.tick()
    assert new(told, "check") == [("cleared", "check.price_snapshot.keys_as_declared")]


def test_lost_entries_are_told_once_and_over_when_their_batch_is_back(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, tmp_path: Path
) -> None:
    """The one emergency has left entries in the intake alone, and their batch is moved away."""
    watch = Watch(instance)
    rig.store.record_prices([bar("A")])
    assert run(instance).success
    rig.store.record_prices([bar("A", minute) for minute in (1, 2)])
    (drained,) = rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", 3)])
    rig.snapshot(PRICE)
    trim_drained(rig.client, rig.intake, PRICE)
    watch.tick()
    assert new(told, "journal_lost") == []
    away = shutil.move(drained.file.path, tmp_path / "away")
    assert run(instance).success
    watch.tick()
    one = alert(told, "journal_lost.price")
    assert (one["status"], one["severity"], one["dataset"], one["value"]) == ("new", "error", "price", 2)
    assert "journal:price:A after " in one["message"]
    assert one["command"] == acknowledge_command(PRICE)
    assert "nothing_missing" not in json.dumps(told.bodies)  # said once, by the look
    new(told)
    shutil.move(away, drained.file.path)
    assert run(instance).success
    watch.tick()
    assert new(told, "journal_lost") == [("cleared", "journal_lost.price")]


def test_a_failure_that_a_later_success_has_hidden_is_told_all_the_same(
    rig: Rig, instance: dg.DagsterInstance, told: Hook
) -> None:
    watch = Watch(instance)
    watch.tick()
    for status in (FAILURE, SUCCESS):
        end_run(instance, started_run(instance), status)
    told.answers += [500, 500]
    watch.tick()
    assert new(told, "run_failure") == []
    watch.tick()
    assert new(told, "run_failure") == [("new", "run_failure.archive_job")]
    watch.tick()
    assert new(told, "run_failure") == [("cleared", "run_failure.archive_job")]


def test_runs_that_are_tried_again_or_of_others_are_no_failures(instance: dg.DagsterInstance) -> None:
    end_run(instance, started_run(instance, **{"dagster/will_retry": "true"}), FAILURE)
    end_run(instance, started_run(instance, "somebody_elses_job"), FAILURE)
    end_run(instance, started_run(instance, "__ASSET_JOB"), FAILURE)
    (found,) = failed_runs(instance, ["archive_job", "__ASSET_JOB"], now())
    assert found.key == "run_failure.assets"
    assert failed_runs(instance, ["archive_job", "__ASSET_JOB"], now() + timedelta(days=2)) == []


def test_a_tier_that_is_away_is_a_finding_and_holds_what_cannot_be_judged(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A threshold really crossed, its server killed, back, and well again: told once, cleared once."""
    node = Node(tmp_path / "valkey", "--maxmemory", str(10 * MB))
    try:
        monkeypatch.setenv("TRADING_DATA_REDIS_URL", node.url)
        watch = Watch(instance)
        while node.client.info("memory")["used_memory"] < 0.85 * 10 * MB:
            node.client.rpush("much", b"x" * 100_000)
        assert "redis_memory" in watch.tick()
        one = alert(told, "redis_memory")
        assert one["status"] == "new"
        assert one["value"] > one["limit"] == 0.75
        assert one["command"]
        new(told)
        node.kill()
        assert "redis_away" in watch.tick()
        assert new(told, "redis") == [("new", "redis_away")]
        node.start()
        watch.tick()
        assert new(told, "redis") == [("cleared", "redis_away")]
        node.client.delete("much")
        watch.tick()
        assert new(told, "redis_memory") == [("cleared", "redis_memory")]
    finally:
        node.close()


def test_both_tiers_away_and_no_address_are_findings_too(
    instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres@127.0.0.1:1/trading")
    watch = Watch(instance)
    assert "2 wrong: redis_away, timescale_away" in watch.tick()
    assert new(told) == [("new", "redis_away"), ("new", "timescale_away")]
    monkeypatch.delenv("TRADING_DATA_REDIS_URL")
    assert "3 wrong: redis_away, look, timescale_away" in watch.tick()
    assert new(told) == [("new", "look")]  # nobody knows whether they are back


def test_whatever_goes_wrong_in_looking_failed_runs_are_told(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_run(instance, started_run(instance), FAILURE)
    monkeypatch.setenv("TRADING_DATA_INTAKE_URI", "nowhere://bucket")
    assert "2 wrong: look, run_failure.archive_job" in Watch(instance).tick()
    assert new(told) == [("new", "look"), ("new", "run_failure.archive_job")]


def test_a_webhook_that_fails_is_said_and_tried_again(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_run(instance, started_run(instance), FAILURE)
    watch = Watch(instance)
    told.answers += [404, 404]
    assert "not by webhook (the webhook" in watch.tick()
    memory = StorageMemory(instance.daemon_cursor_storage)
    assert [one.key for one in undelivered(NotifierState.load(memory.load()))] == ["alerts_undelivered.webhook"]
    assert "by webhook" in watch.tick()
    assert ("new", "run_failure.archive_job") in new(told)
    monkeypatch.setenv("TRADING_DATA_ALERT_EVERY", "never")
    assert "alert_settings" in watch.tick()
    assert ("new", "alert_settings") in new(told)


def test_one_look_a_minute(instance: dg.DagsterInstance) -> None:
    cursor = json.dumps({"looked": datetime.now(UTC).timestamp() - 20})
    done = tick("alert_sensor", instance, cursor)
    assert "once a minute is enough" in done.skip_message
    assert done.cursor == cursor


def test_runs_that_are_stuck(instance: dg.DagsterInstance) -> None:
    run = started_run(instance)
    assert stuck_runs(instance, now()) == []
    (found,) = stuck_runs(instance, now() + timedelta(hours=5))
    assert found.key == "stuck_run.archive_job"
    assert found.message.startswith(f"run {run.run_id[:8]} of archive_job has been under way for 5 h")
    end_run(instance, run, SUCCESS)
    assert stuck_runs(instance, now() + timedelta(hours=5)) == []


def test_a_daemon_that_does_not_beat(instance: dg.DagsterInstance) -> None:
    from dagster._daemon.types import DaemonHeartbeat

    (never,) = silent_daemons(instance, now())
    assert never.severity == "error"
    assert "sensor never" in never.message
    for name in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(now().timestamp(), name, "here", []))
    assert silent_daemons(instance, now()) == []
    (late,) = silent_daemons(instance, now() + timedelta(minutes=6))
    assert "sensor 6 min ago" in late.message


def test_a_check_that_is_only_planned_is_as_it_was(instance: dg.DagsterInstance) -> None:
    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned

    key = dg.AssetCheckKey(dg.AssetKey("price_data"), "accounts_balance")
    said = "3 rows are in no ledger. Run `trading-data verify --deep`"
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key.asset_key, check_name=key.name, passed=False, metadata={}, description=said
    )
    instance.report_runless_asset_event(evaluation)
    planned = dg.DagsterEvent(
        event_type_value="ASSET_CHECK_EVALUATION_PLANNED",
        job_name="archive_job",
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=key.asset_key, check_name=key.name),
    )
    instance.report_dagster_event(planned, run_id=started_run(instance).run_id)
    (found,) = red_checks(instance, [key, dg.AssetCheckKey(dg.AssetKey("price_data"), "never_ran")])
    assert (found.key, found.severity, found.subject) == ("check.price_data.accounts_balance", "error", "price")
    assert found.command == "trading-data verify --deep"


def test_every_check_that_is_declared_is_asked_for() -> None:
    found = {key.to_user_string() for key in declared_checks()}
    graph = build_defs().get_repository_def().asset_graph
    assert found == {key.to_user_string() for key in graph.asset_check_keys}
    assert "price_data:accounts_balance" in found


def test_backups_are_looked_at_every_ten_minutes_and_each_minute_while_an_alert_about_them_is_open(
    rig: Rig, instance: dg.DagsterInstance, told: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from trading_data.operations.health.rules import BACKUPS

    monkeypatch.setenv("TRADING_DATA_BACKUP_URI", str(tmp_path / "none"))
    missing = [backup for backup in BACKUPS if backup.key == "backup_missing"]
    monkeypatch.setattr("trading_data.operations.backup.metrics.BACKUPS", missing)
    watch = Watch(instance)
    assert "backup_missing.backup" in watch.tick()
    assert new(told, "backup") == [("new", "backup_missing.backup")]
    monkeypatch.setattr("trading_data.operations.backup.metrics.BACKUPS", ())  # as if there were one now
    with monkeypatch.context() as away:
        away.setenv("TRADING_DATA_BACKUP_URI", "nowhere://bucket")
        watch.tick()
    assert new(told, "backup") == [("new", "backup_unknown")]  # it is not over: nobody could look
    watch.tick()
    assert sorted(new(told, "backup")) == [("cleared", "backup_missing.backup"), ("cleared", "backup_unknown")]
    looked = json.loads(watch.cursor)["backups"]
    watch.tick()
    assert json.loads(watch.cursor)["backups"] == looked  # all is well, so not yet again
    watch.cursor = json.dumps({**json.loads(watch.cursor), "backups": looked - BACKUPS_EVERY})
    watch.tick()
    assert json.loads(watch.cursor)["backups"] > looked


def test_a_failed_run_of_assets_is_over_when_its_own_days_are_right(instance: dg.DagsterInstance) -> None:
    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-11-01"))
    def fails_when_told(context: dg.AssetExecutionContext) -> None:
        if context.run.tags.get("fail"):
            raise ValueError("as told")

    def run_of(day: str, **tags: str) -> None:
        dg.materialize([fails_when_told], instance=instance, partition_key=day, tags=tags, raise_on_error=False)

    run_of("2026-11-02", fail="yes")
    run_of("2026-11-03")  # another day, the newest run and a success
    (found,) = failed_runs(instance, ["__ephemeral_asset_job__"], now(), of_partitions=("__ephemeral_asset_job__",))
    assert "2026-11-02" in found.message
    run_of("2026-11-02")
    assert failed_runs(instance, ["__ephemeral_asset_job__"], now(), of_partitions=("__ephemeral_asset_job__",)) == []


def test_a_link_is_complete_if_the_address_of_the_page_is_known(instance: dg.DagsterInstance) -> None:
    run = started_run(instance)
    end_run(instance, run, FAILURE)
    (found,) = failed_runs(instance, ["archive_job"], now(), ui_url="https://dagster.example.com")
    assert f"https://dagster.example.com/runs/{run.run_id}" in found.message


def test_a_tick_says_what_stands_also_when_it_does_not_look(rig: Rig, instance: dg.DagsterInstance, told: Hook) -> None:
    end_run(instance, started_run(instance), FAILURE)
    watch = Watch(instance)
    assert "1 wrong: run_failure.archive_job" in watch.tick()
    done = tick("alert_sensor", instance, watch.cursor)
    assert "1 wrong: run_failure.archive_job; looked" in str(done.skip_message)


EPHEMERAL = "__ephemeral_asset_job__"


def telling(name: str) -> dg.AssetsDefinition:
    """An asset that turns its days green one by one, but for those named in the run's tag `empty`, and fails at that in `fail`."""

    @dg.multi_asset(
        name=f"step_of_{name}",
        specs=[
            dg.AssetSpec(name, partitions_def=dg.DailyPartitionsDefinition("2026-10-01", end_offset=1), skippable=True)
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        for day in context.partition_keys:
            if f"{name} {day}" in context.run.tags.get("fail", ""):
                raise ValueError("as told")
            if day not in context.run.tags.get("empty", ""):
                yield dg.AssetMaterialization(name, partition=day)

    return step


class Backfills:
    """Runs of two assets for ranges of days, and what is said of those that failed."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.assets = instance, [telling("first"), telling("second")]

    def run(self, first: str, last: str = "", *names: str, **tags: str) -> dg.ExecuteInProcessResult:
        days = {f"dagster/asset_partition_range_{end}": day for end, day in (("start", first), ("end", last or first))}
        chosen = [asset for asset in self.assets if not names or asset.key.to_user_string() in names]
        return dg.materialize(chosen, instance=self.instance, tags={**days, **tags}, raise_on_error=False)

    def failed(self, after: timedelta = timedelta(0)) -> list[str]:
        found = failed_runs(self.instance, [EPHEMERAL], now() + after, of_partitions=(EPHEMERAL,))
        return [one.message for one in found]


@pytest.fixture
def backfills(instance: dg.DagsterInstance) -> Backfills:
    return Backfills(instance)


def test_a_failed_backfill_stands_until_each_of_its_days_is_right(backfills: Backfills) -> None:
    backfills.run("2026-11-02", "2026-11-03", fail="first 2026-11-02")
    backfills.run("2026-11-02")
    (said,) = backfills.failed()
    assert "for 2026-11-02 to 2026-11-03 failed" in said
    backfills.run("2026-11-03")
    assert backfills.failed() == []


def test_what_the_failed_run_had_done_itself_need_not_be_done_again(backfills: Backfills) -> None:
    backfills.run("2026-11-02", fail="second 2026-11-02")
    assert len(backfills.failed()) == 1
    backfills.run("2026-11-02", "", "second")
    assert backfills.failed() == []


def test_a_day_that_is_told_often_hides_no_other(backfills: Backfills, instance: dg.DagsterInstance) -> None:
    backfills.run("2026-11-02", "2026-11-03", fail="first 2026-11-02, second 2026-11-02")
    backfills.run("2026-11-02", "2026-11-03")
    for _ in range(60):
        instance.report_runless_asset_event(dg.AssetMaterialization("first", partition="2026-11-03"))
    assert backfills.failed() == []


def test_a_day_without_a_row_is_right_once_a_run_has_looked(backfills: Backfills) -> None:
    backfills.run("2026-11-02", "2026-11-03", fail="first 2026-11-02")
    backfills.run("2026-11-02", "2026-11-03", empty="2026-11-02")
    assert backfills.failed() == []


def test_many_failures_hide_none_of_them(backfills: Backfills, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_findings, "_PAGE", 3)
    for day in range(1, 6):
        backfills.run(f"2026-10-{day:02}", fail=f"first 2026-10-{day:02}")
    backfills.run("2026-10-02", "2026-10-05")
    (said,) = backfills.failed()
    assert "for 2026-10-01" in said


def test_a_newer_failure_is_told_and_the_older_one_again_once_that_is_repaired(backfills: Backfills) -> None:
    for day in ("2026-11-02", "2026-11-05"):
        backfills.run(day, fail=f"first {day}")
    assert "for 2026-11-05" in backfills.failed()[0]
    backfills.run("2026-11-05")
    assert "for 2026-11-02" in backfills.failed()[0]


def test_a_failure_that_stands_is_not_over_because_a_day_went_by(
    backfills: Backfills, instance: dg.DagsterInstance
) -> None:
    run = backfills.run("2026-11-02", fail="first 2026-11-02").run_id
    assert len(backfills.failed(timedelta(days=5))) == 1
    instance.delete_run(run)
    assert backfills.failed() == []
