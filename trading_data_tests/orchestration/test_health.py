"""The health assets, their checks and their schedule, on a real instance."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import TradingDataError
from trading_data.operations.health.rules import REDIS_CHECKS, TIMESCALE_CHECKS
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.declared import FRESH
from trading_data.orchestration.health_checks import report_freshness
from trading_data.times import now
from trading_data_tests.orchestration.ticks import (
    checks,
    failure,
    materializations,
    run_archive,
    tick,
)
from trading_data_tests.rig import MOMENT, Rig, bar, measurement


def run_health(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return build_defs().resolve_job_def("health_job").execute_in_process(instance=instance, raise_on_error=False)


def shown(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    return materializations(result, asset)["None"]


def test_a_run_measures_judges_records_and_draws(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices([bar()])
    rig.archive_all(PRICE)
    rig.entry("journal:trade", {"order_id": "o1", "timestamp": "no time"})
    rig.archive_all(TRADE)
    result = run_health(instance)
    assert result.success
    verdicts = checks(result)
    assert {name for asset, name in verdicts if asset == "redis_health"} == set(REDIS_CHECKS)
    assert {name for asset, name in verdicts if asset == "timescale_health"} == set(TIMESCALE_CHECKS)
    red = {name for (_, name), (passed, _) in verdicts.items() if not passed}
    assert red == {"rejected"}
    assert verdicts["timescale_health", "rejected"][1] == (
        "1 rejected trade entry waits for a decision. Run `trading-data quarantine list`"
    )
    assert str(verdicts["redis_health", "persistence"][1]).startswith("the live tier keeps an append-only file; ")
    assert str(verdicts["redis_health", "replication"][1]).endswith("is not known (there is no replica)")
    with rig.archive.transaction() as cursor:
        cursor.execute("update archive_quarantine set settled = 'discarded', settled_at = now()")
    again = run_health(instance)
    assert all(passed for passed, _ in checks(again).values())
    for asset, drawn in (("redis_health", "Memory that the live tier"), ("timescale_health", "Size of the archive's")):
        page = shown(again, asset)
        assert page["recorded"].endswith(" measurements")
        assert f"` {drawn}" in page["last day"]
        assert len(page["figures"].records) > 5
        assert page["not offered"].startswith("- `")
    rig.archive_all(METRICS)
    (count,) = rig.query("select count(*) from metrics_data where metric_name = 'flow.quarantine.waiting.trade'")
    assert count == (2,)


def test_severities_follow_the_threshold(rig: Rig, instance: dg.DagsterInstance) -> None:
    then = int((now().timestamp() - 9000) * 1000)
    rig.entry_at("journal:metrics", f"{then}-0", measurement())
    evaluations = run_health(instance).get_asset_check_evaluations()
    (lag,) = (verdict for verdict in evaluations if verdict.check_name == "lag")
    assert (lag.passed, lag.severity, lag.blocking) == (False, dg.AssetCheckSeverity.ERROR, False)
    assert "has waited for more than 2 h (now 2 h 30 min)" in str(lag.description)
    assert lag.metadata["flow.journal.oldest.metrics"].value == pytest.approx(9000, abs=60)


def test_archive_runs_and_health_runs_say_whether_the_newest_row_is_fresh(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    rig.store.record_metrics([measurement()])
    result = run_archive(instance)
    passed, description = checks(result)["metrics_data", FRESH]
    assert not passed
    assert str(description).startswith("the newest metrics row in the archive is ")
    assert checks(result)["trade_data", FRESH] == (
        True,
        "trade: age of the newest archived row by the hours that count is not known (nothing is archived yet)",
    )
    moment = MOMENT + timedelta(minutes=5)
    (turned,) = report_freshness(instance, rig.archive, moment, "XNYS")
    assert (turned.asset_key, turned.check_name, turned.passed) == (dg.AssetKey("metrics_data"), FRESH, True)
    assert report_freshness(instance, rig.archive, moment, "XNYS") == []
    (again,) = report_freshness(instance, rig.archive, moment + timedelta(hours=1), "XNYS")
    assert not again.passed


@pytest.mark.parametrize(
    ("variable", "url", "asset", "other"),
    [
        ("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0", "redis_health", "timescale_health"),
        ("TRADING_DATA_TIMESCALE_URL", "postgresql://nobody@127.0.0.1:1/none", "timescale_health", "redis_health"),
    ],
)
def test_a_tier_that_is_away_fails_with_one_clear_line(
    rig: Rig,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    url: str,
    asset: str,
    other: str,
) -> None:
    monkeypatch.setenv(variable, url)
    result = run_health(instance)
    assert not result.success
    assert failure(result, asset).startswith("the ")
    assert "does not answer" in failure(result, asset)
    assert not materializations(result, asset)
    assert materializations(result, other), "the other tier is measured all the same"


def test_a_full_live_tier_does_not_hide_what_is_wrong(rig: Rig, instance: dg.DagsterInstance) -> None:
    limit = str(rig.client.config_get("maxmemory")["maxmemory"])
    try:
        rig.client.config_set("maxmemory", int(rig.client.info("memory")["used_memory"]) // 2)
        result = run_health(instance)
    finally:
        rig.client.config_set("maxmemory", limit)
    assert result.success
    assert shown(result, "redis_health")["recorded"].startswith("nothing: the live tier is full")
    passed, description = checks(result)["redis_health", "memory"]
    assert not passed
    assert "trading-data archive" in str(description)
    assert checks(run_health(instance))["redis_health", "memory"][0]


@pytest.mark.parametrize(("asset", "check"), [("redis_health", "memory"), ("timescale_health", "rejected")])
def test_a_check_runs_by_itself_and_materializes_nothing(
    rig: Rig, instance: dg.DagsterInstance, asset: str, check: str
) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    job = dg.define_asset_job("alone", selection=dg.AssetSelection.checks(key))
    alone = dg.Definitions.merge(build_defs(), dg.Definitions(jobs=[job])).resolve_job_def("alone")
    rig.entry("journal:trade", {"order_id": "o1", "timestamp": "no time"})
    rig.archive_all(TRADE)
    result = alone.execute_in_process(instance=instance)
    assert {name: passed for name, (passed, _) in checks(result).items()} == {(asset, check): check == "memory"}
    assert not materializations(result, asset)


def reported(instance: dg.DagsterInstance, asset: str) -> int:
    return len(instance.fetch_materializations(dg.AssetKey(asset), limit=50).records)


def test_the_sensor_tells_what_changes_and_asks_for_no_run(rig: Rig, instance: dg.DagsterInstance) -> None:
    first = tick("health_sensor", instance)
    assert first.run_requests == []
    assert "none recorded: no data came in since the last tick" in first.skip_message
    assert (reported(instance, "redis_health"), reported(instance, "timescale_health")) == (1, 1)
    again = tick("health_sensor", instance, first.cursor)
    assert reported(instance, "redis_health") == 1, "no verdict changed"
    rig.entry("journal:trade", {"order_id": "o1", "timestamp": "no time"})
    rig.archive_all(TRADE)
    turned = tick("health_sensor", instance, again.cursor)
    assert "rejected fails" in turned.skip_message
    assert reported(instance, "timescale_health") == 2
    key = dg.AssetCheckKey(dg.AssetKey("timescale_health"), "rejected")
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.evaluation is not None
    assert not record.evaluation.passed
    key = dg.AssetCheckKey(dg.AssetKey("timescale_health"), "chunks")
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert len(history) == 2, "every verdict comes with the materialization"
    assert instance.get_runs_count() == 0


def test_figures_are_recorded_while_others_send_and_at_rest_the_journals_do_not_grow(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    cursor = tick("health_sensor", instance).cursor
    rig.store.record_prices([bar()])
    busy = tick("health_sensor", instance, cursor)
    assert busy.skip_message.split("; ")[0].endswith(" recorded")
    length = rig.client.xlen("journal:metrics")
    assert length > 20
    for _ in range(2):
        busy = tick("health_sensor", instance, busy.cursor)
        assert "none recorded" in busy.skip_message
    assert rig.client.xlen("journal:metrics") == length
    rig.store.record_metrics([measurement()])
    assert "none recorded" not in tick("health_sensor", instance, busy.cursor).skip_message


@pytest.mark.parametrize(
    ("variable", "url", "other"),
    [
        ("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0", "timescale_health"),
        ("TRADING_DATA_TIMESCALE_URL", "postgresql://nobody@127.0.0.1:1/none", "redis_health"),
    ],
)
def test_a_tier_that_is_away_fails_the_tick_after_the_other_was_told(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, variable: str, url: str, other: str
) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(TradingDataError, match="does not answer"):
        tick("health_sensor", instance)
    assert reported(instance, other) == 1
