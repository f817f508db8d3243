"""The asset `state_snapshot` on a real instance: its document, its tables, its check, and which runs save it."""

import math
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_data.datasets import DATASETS
from trading_data.intake.state.files import newest_state, state_files
from trading_data.live.journal import text
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.schedules import STATE_EVERY
from trading_data.times import now
from trading_data_tests.orchestration.ticks import (
    checks,
    end_run,
    failure,
    materializations,
    run_archive,
    schedule_tick,
    started_run,
)
from trading_data_tests.rig import Rig, measurement

STATE = dg.AssetKey("state_snapshot")


def run_of(instance: dg.DagsterInstance, *names: dg.AssetKey, day: str | None = None) -> dg.ExecuteInProcessResult:
    """A run of the archive job for only some of its assets."""
    job = (
        build_defs().resolve_job_def("archive_job").get_subset(asset_selection=set(names), asset_check_selection=set())
    )
    return job.execute_in_process(instance=instance, partition_key=day, raise_on_error=False)


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the state's one materialization; it belongs to no partition."""
    found = materializations(result, "state_snapshot")
    assert list(found) == ["None"]
    return found["None"]


def rows(table: Any) -> list[dict[str, Any]]:
    return [record.data for record in (table.records if hasattr(table, "records") else table)]


def test_an_archive_run_writes_the_state_and_shows_it_as_tables(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.client.hset("positions:active:AAPL", mapping={"quantity": "10", "stop": "9.5"})
    rig.client.hset("positions:monitoring:MSFT", mapping={"quantity": "5"})
    rig.client.hset("signals:momentum:AAPL", mapping={"direction": "long"})
    rig.client.sadd("watchlist:current", "AAPL", b"\xff\x1b[31m")
    rig.client.zadd("candidates:ranked", {"LOW": 0.5, "HIGH": 2.5, "TOP": math.inf})
    rig.client.hset("system:state", mapping={"feed": "up"})
    result = run_archive(instance)
    assert result.success
    found = shown(result)
    assert rows(found["active"]) == [{"symbol": "AAPL", "quantity": "10", "stop": "9.5"}]
    assert rows(found["monitoring"]) == [{"symbol": "MSFT", "quantity": "5"}]
    assert rows(found["signal"]) == [{"signal_type:symbol": "momentum:AAPL", "direction": "long"}]
    assert rows(found["watchlist"]) == [{"member": "AAPL"}, {"member": "\\xff\\x1b[31m"}]
    assert [(row["rank"], row["member"], row["score"]) for row in rows(found["candidates"])] == [
        ("1", "TOP", "inf"),
        ("2", "HIGH", "2.5"),
        ("3", "LOW", "0.5"),
    ]
    assert rows(found["system"]) == [{"name": "feed", "value": "up"}]
    assert {name: found[name] for name in ("keys", "problems", "watchlist rows", "active rows")} == {
        "keys": 6,
        "problems": 0,
        "watchlist rows": 2,
        "active rows": 1,
    }
    (file,) = state_files(rig.intake)
    state = newest_state(rig.intake)
    assert state is not None
    assert (found["file"], found["began"], found["ended"]) == (
        file.name,
        state.began.timestamp(),
        state.ended.timestamp(),
    )
    assert state.run_id == result.run_id
    assert checks(result)["state_snapshot", "keys_as_declared"] == (
        True,
        "Every key of the state is of its declared type.",
    )
    (event,) = instance.fetch_materializations(STATE, limit=5).records
    assert event.partition_key is None
    assert materializations(result, "price_data") == {}


def test_a_page_shows_the_head_of_what_is_large_and_the_document_has_all(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    client: Any = rig.client
    client.sadd("watchlist:current", *(f"S{number:03}" for number in range(60)))
    client.hset("positions:active:A", mapping={f"f{number:03}": "x" * 300 for number in range(40)})
    found = shown(run_of(instance, STATE))
    assert found["watchlist rows"] == 60
    assert [row["member"] for row in rows(found["watchlist"])] == [f"S{number:03}" for number in range(50)]
    (row,) = rows(found["active"])
    assert (len(row), {len(cell) for cell in row.values()}) == (30, {1, 200})
    state = newest_state(rig.intake)
    assert state is not None
    assert {kind.name: len(kind.keys[0].value) for kind in state.kinds if kind.keys} == {"watchlist": 60, "active": 40}


def test_a_key_of_another_type_turns_the_check_yellow_and_the_rest_is_kept(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    rig.client.set(b"positions:active:\xff", "10")
    rig.client.sadd("watchlist:current", "AAPL")
    result = run_of(instance, STATE)
    assert result.success
    (event,) = result.get_asset_check_evaluations()
    (again,) = run_of(instance, STATE).get_asset_check_evaluations()
    assert not again.passed
    assert (event.passed, event.severity, event.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert "positions:active:\\xff is a string, not the hash that is declared" in str(event.description)
    found = shown(result)
    assert rows(found["problem keys"]) == [{"key": "positions:active:\\xff is a string, not the hash that is declared"}]
    assert found["watchlist rows"] == 1
    (problem,) = newest_state(rig.intake).problems  # type: ignore[union-attr]
    assert problem.key == text(b"positions:active:\xff")


def test_an_intake_that_takes_nothing_is_one_clear_line(rig: Rig, instance: dg.DagsterInstance) -> None:
    Path(rig.settings.intake_uri).write_text("a file where a folder should be")
    result = run_of(instance, STATE)
    assert not result.success
    assert failure(result, "state_snapshot").startswith("the intake at")
    assert not materializations(result, "state_snapshot")


def test_the_live_tier_away_is_one_clear_line(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
    result = run_of(instance, STATE)
    assert failure(result, "state_snapshot").startswith("the live tier at")
    assert state_files(rig.intake) == []


def test_the_schedule_takes_the_state_once_a_quarter_of_an_hour(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_metrics([measurement()])
    moment = now()
    (first,) = schedule_tick("archive_schedule", instance, moment).run_requests
    assert first.asset_selection is None
    alone = shown(run_of(instance, STATE))
    assert (alone["keys"], rows(alone["active"]), rows(alone["watchlist"])) == (0, [], [])
    (second,) = schedule_tick("archive_schedule", instance, moment).run_requests
    all_keys = set(build_defs().resolve_job_def("archive_job").asset_layer.selected_asset_keys)
    assert set(second.asset_selection) == all_keys - {STATE}
    without = run_of(instance, *second.asset_selection, day=second.partition_key)
    assert without.success
    assert not materializations(without, "state_snapshot")
    assert materializations(without, "metrics_data")
    assert {name for name, _ in checks(without)} >= {dataset.table for dataset in DATASETS.values()}
    assert schedule_tick("archive_schedule", instance, moment + STATE_EVERY).run_requests == []
    rig.client.sadd("watchlist:current", "AAPL")
    (third,) = schedule_tick("archive_schedule", instance, moment + STATE_EVERY).run_requests
    assert third.asset_selection is None
    assert len(state_files(rig.intake)) == 1


def test_a_state_that_could_not_be_taken_is_due_at_the_next_tick(rig: Rig, instance: dg.DagsterInstance) -> None:
    moment = now()
    rig.client.sadd("watchlist:current", "AAPL")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
        assert not run_of(instance, STATE).success
    under_way = started_run(instance)
    assert schedule_tick("archive_schedule", instance, moment).run_requests == []
    end_run(instance, under_way, dg.DagsterRunStatus.SUCCESS)
    (request,) = schedule_tick("archive_schedule", instance, moment).run_requests
    assert request.asset_selection is None
