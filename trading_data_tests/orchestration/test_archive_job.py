"""Complete runs of the archive job on an instance of Dagster."""

import os
import re
import shlex
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from click.testing import CliRunner

from trading_data import Bar
from trading_data.archive.verify import ledger
from trading_data.cli.main import group
from trading_data.datasets import DATASETS, PRICE, TRADE
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.declared import FRESH
from trading_data.orchestration.run_findings import red_checks
from trading_data.orchestration.verdicts import accounts_balance
from trading_data.times import day_start, now
from trading_data_tests.orchestration.ticks import (
    checks,
    failure,
    materializations,
    run_archive,
    run_assets,
    tick,
    today,
)
from trading_data_tests.rig import Rig, bar, fill, measurement, refuse

OLD = datetime(2024, 1, 8, 15, tzinfo=UTC)
DAYS = 30 if os.environ.get("TRADING_DATA_TEST_FULL") else 8


def bars_of_today(count: int = 5) -> list[Bar]:
    midnight = day_start(now().date())
    return [bar("A", timestamp=midnight + timedelta(seconds=at)) for at in range(count)]


def test_a_run_carries_everything_from_journals_to_aggregates(rig: Rig, instance: dg.DagsterInstance) -> None:
    ids = rig.store.record_prices(bars_of_today())
    rig.store.record_trades([fill(timestamp=now())])
    rig.store.record_metrics([measurement()])
    result = run_archive(instance)
    assert result.success
    shown = materializations(result, "price_data")[today()]
    assert {
        name: shown[name] for name in ("offered", "inserted", "replaced", "unchanged", "quarantined", "symbols")
    } == {
        "offered": 5,
        "inserted": 5,
        "replaced": 0,
        "unchanged": 0,
        "quarantined": 0,
        "symbols": 1,
    }
    assert shown["dagster/partition_row_count"] == 5
    assert shown["first timestamp"] == day_start(now().date()).timestamp()
    assert shown["minutes with a row"] == 1
    assert shown["bytes before compression"] == shown["bytes after compression"] > 0
    assert shown["day"].startswith("`█`\n\n00:00–00:15 UTC")
    (journal,) = shown["journals"].records if hasattr(shown["journals"], "records") else shown["journals"]
    assert (journal.data["first"], journal.data["last"]) == (ids[0], ids[-1])
    assert all(passed for (_, name), (passed, _) in checks(result).items() if name != FRESH)
    assert rig.query("select load_run = snapshot_run, count(*) from archive_ledger group by 1") == [(True, 3)]
    assert rig.query("select sum(volume) from price_1d") == [(500.0,)]


def test_rows_of_another_day_are_that_days_and_its_aggregates_follow(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices([*bars_of_today(), bar("A"), bar("B", 3)])
    result = run_archive(instance)
    shown = materializations(result, "price_data")
    assert set(shown) == {today(), "2026-11-20"}
    assert shown["2026-11-20"]["inserted"] == 2
    assert rig.query("select count(*) from price_1d") == [(1,)]
    (request,) = tick("late_data_sensor", instance).run_requests
    assert request.tags["dagster/asset_partition_range_start"] == "2026-11-20"
    assert {key.to_user_string() for key in request.asset_selection} == {"price_5m", "price_1h", "price_1d"}
    assert request.asset_check_keys == []
    late = run_archive(instance, "2026-11-20")
    assert late.success
    assert rig.query("select count(*) from price_1d") == [(3,)]
    assert "no day but today" in tick("late_data_sensor", instance).skip_message


def test_a_day_that_is_over_shows_its_coverage_its_chart_and_where_sources_disagree(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    opened = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    minutes = [opened + timedelta(minutes=at) for at in range(60)]
    rig.store.record_prices([bar("A", timestamp=at) for at in minutes])
    rig.store.record_prices([bar("A", timestamp=at, source="alpaca:sip", close=10.1) for at in minutes[:2]])
    shown = materializations(run_archive(instance, "2026-11-20"), "price_data")["2026-11-20"]
    assert (shown["coverage"], shown["symbols with missing minutes"]) == (round(60 / 390, 6), 1)
    assert shown["day"].startswith("`████`\n\n14:30–15:30 UTC")
    assert shown["disagreements of sources"] == 2
    (pair,) = (
        shown["sources compared"].records
        if hasattr(shown["sources compared"], "records")
        else shown["sources compared"]
    )
    assert (pair.data["winner"], pair.data["loser"], pair.data["beyond"]) == ("alpaca:sip", "test", 2)


def test_rejected_entries_turn_a_check_yellow_and_the_rest_passes(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices(bars_of_today(2))
    rig.entry("journal:price:A", {"timestamp": "x"})
    rig.entry("journal:trade", {"timestamp": "x"})
    result = run_archive(instance)
    assert result.success
    verdicts = checks(result)
    passed, description = verdicts["price_data", "nothing_quarantined"]
    assert not passed
    assert "1 missing field" in str(description)
    assert "trading-data quarantine list price" in str(description)
    passed, description = verdicts["trade_data", "nothing_quarantined"]
    assert not passed
    assert "trading-data quarantine list trade" in str(description)
    executed = accounts_balance(PRICE, ledger.accounts_balance(rig.archive, PRICE))  # as by Execute
    assert verdicts["price_data", "accounts_balance"] == (executed.passed, executed.description)
    assert executed.description == "2 rows on 1 day accounted for"


def test_what_looks_wrong_is_told_while_it_is_in_the_table(rig: Rig, instance: dg.DagsterInstance) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("price_data"), "values_are_plausible")
    job = dg.define_asset_job("alone", selection=dg.AssetSelection.checks(key))
    alone = dg.Definitions.merge(build_defs(), dg.Definitions(jobs=[job])).resolve_job_def("alone")

    def reported() -> list[tuple[str, str, str]]:
        return [(finding.key, finding.severity, finding.command) for finding in red_checks(instance, [key])]

    def executed() -> tuple[bool, str]:
        (verdict,) = alone.execute_in_process(instance=instance).get_asset_check_evaluations()
        assert verdict.severity == dg.AssetCheckSeverity.WARN
        return verdict.passed, str(verdict.description)

    red = ("check.price_data.values_are_plausible", "warn")
    rig.store.record_prices(
        [bar("A", close=50.0, timestamp=OLD), bar("B", close=50.0, timestamp=OLD + timedelta(days=40))]
    )
    assert run_archive(instance).success
    assert reported() == [
        (*red, f"trading-data query prices A --start {OLD:%Y-%m-%d} --end {OLD + timedelta(days=1):%Y-%m-%d}")
    ]
    passed, description = executed()
    assert not passed
    assert "open or close outside high and low: 2 rows" in description
    for _ in range(2):
        rig.store.record_prices(bars_of_today())
        assert run_archive(instance).success
        assert [finding[:2] for finding in reported()] == [red]
        assert not executed()[0]
    rig.store.record_prices([bar("A", timestamp=OLD)])
    assert run_archive(instance).success
    assert [finding[:2] for finding in reported()] == [red]
    passed, description = executed()
    assert not passed
    assert ": 1 row, the first B at " in description
    rig.store.record_prices([bar("B", timestamp=OLD + timedelta(days=40))])
    assert run_archive(instance).success
    assert reported() == []
    assert executed() == (True, "No row looks wrong.")


def test_what_an_earlier_release_refused_is_loaded(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_trades([fill("o1", "e1")])
    refuse(rig, fill("o1", "e2"))
    assert checks(run_archive(instance))["trade_data", "nothing_quarantined"][0]
    assert rig.query("select execution_id from trade_data order by 1") == [("e1",), ("e2",)]


def test_lost_entries_keep_a_check_red_until_they_are_acknowledged(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices(bars_of_today(1))
    assert checks(run_archive(instance))["price_data", "nothing_missing"][0]
    rig.store.record_prices(bars_of_today(4))
    rig.client.xtrim("journal:price:A", maxlen=1, approximate=False)
    verdicts = checks(run_archive(instance))
    passed, description = verdicts["price_data", "nothing_missing"]
    assert not passed
    assert "(3 entries)" in str(description)
    assert "journal:price:A after " in str(description)
    assert ("trade_data", "nothing_missing") not in verdicts
    assert ("price_data", "nothing_missing") not in checks(run_archive(instance)), (
        "it stays red, and is reported once an hour"
    )
    command = re.search("`(trading-data verify --acknowledge [^`]+)`", str(description))
    assert command is not None
    done = CliRunner().invoke(group, shlex.split(command[1])[1:])
    assert done.exit_code == 0, done.output
    assert checks(run_archive(instance))["price_data", "nothing_missing"][0]


def test_the_archive_away_is_one_clear_line_and_the_next_run_carries_on(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.store.record_prices(bars_of_today())
    with monkeypatch.context() as patch:
        patch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres@127.0.0.1:1/trading")
        result = run_archive(instance)
        assert not result.success
        assert materializations(result, "price_snapshot")[today()]["offered"] == 5
        message = failure(result, "price_data")
        assert "does not answer" in message
        assert "nothing is lost" in message
    assert rig.trim(PRICE).removed == 0
    assert run_archive(instance).success
    assert rig.account(PRICE).accepted == rig.accepted(PRICE) == 5


def test_the_live_tier_away_is_one_clear_line(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
    result = run_archive(instance)
    assert not result.success
    assert "does not answer" in failure(result, "price_data")
    assert rig.account(PRICE).batches == 0


def test_memory_pressure_leaves_no_hot_window(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices(bars_of_today())
    assert run_archive(instance).success
    assert rig.client.xlen("journal:price:A") == 5
    rig.store.record_prices(bars_of_today(1))
    assert run_archive(instance, **{"trading_data/trigger": "memory_pressure"}).success
    assert rig.client.xlen("journal:price:A") == 1  # the last archived entry stays: by it the journal is known again


def test_the_archive_away_and_memory_critical_trims_what_is_in_the_intake(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.store.record_prices(bars_of_today())
    limit = rig.client.config_get("maxmemory")["maxmemory"]
    with monkeypatch.context() as patch:
        patch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres@127.0.0.1:1/trading")
        rig.client.config_set("maxmemory", int(rig.client.info("memory")["used_memory"] * 1.02))
        try:
            result = run_archive(instance)
        finally:
            rig.client.config_set("maxmemory", str(limit))
    assert materializations(result, "price_snapshot")[today()]["trimmed to the intake"] == 4
    assert rig.client.xlen("journal:price:A") == 1
    assert run_archive(instance).success
    assert rig.account(PRICE).accepted == 5


def test_many_days_are_one_run(rig: Rig, instance: dg.DagsterInstance) -> None:
    days = [date(2026, 10, 1) + timedelta(days=at) for at in range(DAYS)]
    rig.store.record_prices([bar("A", timestamp=day_start(day) + timedelta(hours=15)) for day in days])
    result = run_archive(instance, str(days[0]), last=str(days[-1]))
    assert result.success
    for name in ("price_snapshot", "price_data", "price_5m", "price_1h", "price_1d"):
        assert set(materializations(result, name)) == {str(day) for day in days}
    assert not materializations(result, "trade_1d")
    assert {page["dagster/partition_row_count"] for page in materializations(result, "price_data").values()} == {1}
    assert rig.query("select count(*) from price_1d") == [(DAYS,)]
    assert instance.get_runs_count() == 1


def test_a_run_that_finds_nothing_says_so(rig: Rig, instance: dg.DagsterInstance) -> None:
    result = run_archive(instance)
    assert result.success
    for dataset in DATASETS.values():
        assert not materializations(result, dataset.table)
    assert rig.account(TRADE).batches == 0


def test_a_day_names_symbols_whose_bars_look_wider_than_a_minute(rig: Rig, instance: dg.DagsterInstance) -> None:
    """Hourly and daily bars from a producer are named; minutes, fixings, and only five bars on a grid of five minutes are not."""
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    sent = {
        "HOURS": [midnight.replace(hour=hour, minute=30) for hour in range(14, 21)],
        "FIVES": [midnight.replace(hour=15, minute=5 * at) for at in range(12)],
        "DAY": [midnight],
        "MINUTES": [midnight.replace(hour=15, minute=at) for at in range(30)],
        "FIXINGS": [midnight.replace(hour=hour, minute=30) for hour in (10, 15)],
        "FEW": [midnight.replace(hour=15, minute=5 * at) for at in range(5)],
        "CLOSE": [midnight.replace(hour=21)],
    }
    rig.store.record_prices([bar(symbol, timestamp=at) for symbol, times in sent.items() for at in times])
    shown = materializations(run_archive(instance, "2026-11-20"), "price_data")["2026-11-20"]
    assert shown["symbols with bars wider than a minute"] == 3
    assert shown["wider than a minute"] == "DAY: daily, FIVES: 5-minute, HOURS: 1-hour"
    rig.store.record_prices([bar("MINUTES", timestamp=midnight + timedelta(days=-1, minutes=at)) for at in range(3)])
    later = materializations(run_archive(instance, "2026-11-19"), "price_data")["2026-11-19"]
    assert "wider than a minute" not in later


def test_what_the_clock_runs_between_two_hours_leaves_every_verdict_standing(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    """Dagster shows a check as not evaluated after another run has materialized its asset."""
    table = dg.AssetKey(PRICE.table)
    clock = {"dagster/schedule_name": "archive_schedule"}
    rig.store.record_prices(bars_of_today(2))
    first = run_archive(instance, **clock)
    reported = {name for asset, name in checks(first) if asset == PRICE.table}
    assert len(reported) == 6
    rig.store.record_prices(bars_of_today(5)[2:])
    second = run_archive(instance, **clock)
    assert second.success
    assert materializations(second, PRICE.table) == {}
    (seen,) = [
        event.asset_observation_data.asset_observation
        for event in second.all_events
        if event.event_type_value == "ASSET_OBSERVATION" and event.asset_key == table
    ]
    assert (seen.partition, seen.metadata["inserted"].value) == (today(), 3)
    assert instance.get_materialized_partitions(table) == {today()}
    rig.store.record_prices([bar("B", timestamp=day_start(now().date()))])
    by_hand = run_archive(instance, **{"dagster/from_ui": "true"})
    assert materializations(by_hand, PRICE.table)[today()]["inserted"] == 1
    assert {name for asset, name in checks(by_hand) if asset == PRICE.table} == reported
    rig.store.record_prices([bar("A")])  # of an older day
    assert run_archive(instance, **clock).success
    names = [aggregate.name for aggregate in PRICE.aggregates]
    late = run_assets(instance, names, "2026-11-20", **{"dagster/sensor_name": "late_data_sensor"})
    assert {name: set(materializations(late, name)) for name in names} == {name: {"2026-11-20"} for name in names}
    verdicts = {(name, "equals_raw") for name in names}
    assert checks(late).keys() == verdicts
    again = run_assets(instance, names, "2026-11-20", **{"trading_data/trigger": "by_hand"})
    assert {name: set(materializations(again, name)) for name in names} == {name: {"2026-11-20"} for name in names}
    assert checks(again).keys() == verdicts, "nothing was left to refresh, and the verdict stands"
