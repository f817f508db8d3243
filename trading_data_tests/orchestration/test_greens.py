"""Only partitions whose day has rows in the table, and accounts that balance, are green."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from trading_data.datasets import METRICS, PRICE
from trading_data.orchestration.build import build_defs
from trading_data.times import day_start
from trading_data_tests.orchestration.ticks import (
    checks,
    failure,
    materializations,
    run_archive,
    run_assets,
    tick,
    today,
)
from trading_data_tests.rig import Rig, bar, fill

FIRST = date(2026, 9, 1)
DAYS = [FIRST + timedelta(days=at) for at in range(60)]
WITH_ROWS = DAYS[::3]
PRICES = ["price_snapshot", "price_data", "price_5m", "price_1h", "price_1d"]


def green(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """The partitions that Dagster shows green."""
    return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


def newest_observation(instance: dg.DagsterInstance, asset: str, day: date) -> str:
    """The description of a partition's newest observation."""
    chosen = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[str(day)])
    (record, *_) = instance.fetch_observations(chosen, limit=1).records
    assert record.asset_observation is not None
    return record.asset_observation.description or ""


def newest_figures(instance: dg.DagsterInstance, asset: str, day: date) -> dict[str, object]:
    """The figures of a partition's newest materialization."""
    chosen = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[str(day)])
    (record, *_) = instance.fetch_materializations(chosen, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def noon(day: date) -> datetime:
    return day_start(day) + timedelta(hours=12)


def test_a_backfill_of_sixty_days_with_rows_on_twenty(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices([bar("A", timestamp=noon(day)) for day in WITH_ROWS])
    result = run_assets(instance, PRICES, str(DAYS[0]), last=str(DAYS[-1]))
    assert result.success
    for asset in PRICES:
        assert green(instance, asset) == set(map(str, WITH_ROWS)), asset
    for asset in ("price_data", "price_5m", "price_1d"):
        assert newest_observation(instance, asset, DAYS[1]) == f"{DAYS[1]} is not green: no row"
    rows = {page["dagster/partition_row_count"] for page in materializations(result, "price_data").values()}
    assert rows == {1}
    again = run_assets(instance, PRICES, str(DAYS[0]), last=str(DAYS[-1]))
    assert again.success
    assert green(instance, "price_data") == green(instance, "price_5m") == set(map(str, WITH_ROWS))


def test_a_run_for_last_friday_counts_what_is_of_friday(rig: Rig, instance: dg.DagsterInstance) -> None:
    friday = date(2026, 11, 20)
    rig.store.record_prices([bar("A", timestamp=day_start(date.fromisoformat(today()))) for _ in range(3)])
    result = run_archive(instance, str(friday))
    assert result.success
    assert green(instance, "price_data") == {today()}
    assert newest_observation(instance, "price_data", friday) == "2026-11-20 is not green: no row"
    assert materializations(result, "price_data")[today()]["inserted"] == 1
    rig.store.record_prices([bar("A", timestamp=noon(friday)), bar("B", timestamp=noon(friday))])
    shown = materializations(run_archive(instance, str(friday)), "price_data")
    assert set(shown) == {str(friday)}
    assert (shown[str(friday)]["offered"], shown[str(friday)]["dagster/partition_row_count"]) == (2, 2)


def test_a_table_by_itself_drains_before_it_says_that_everything_is_there(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    rig.store.record_prices([bar("A", timestamp=noon(FIRST))])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("B", timestamp=noon(FIRST))])
    result = run_assets(instance, ["price_data"], str(FIRST))
    assert materializations(result, "price_data")[str(FIRST)]["dagster/partition_row_count"] == 2


def test_an_aggregate_by_itself_does_no_more_than_refresh(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices([bar("A", timestamp=noon(FIRST))])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    rig.store.record_prices([bar("B", timestamp=noon(FIRST))])
    assert run_assets(instance, ["price_5m"], str(FIRST)).success
    assert green(instance, "price_5m") == {str(FIRST)}
    assert green(instance, "price_data") == green(instance, "price_1h") == set()
    assert rig.query("select count(*) from price_data") == [(1,)]


def test_a_day_whose_account_does_not_balance_is_not_green(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices([bar(name, timestamp=noon(day)) for name in "AB" for day in DAYS[:2]])
    rig.archive_all(PRICE)
    rig.query("delete from price_data where symbol = 'B' and timestamp < %s returning 1", day_start(DAYS[1]))
    result = run_assets(instance, PRICES, str(DAYS[0]), last=str(DAYS[1]))
    assert green(instance, "price_data") == {str(DAYS[1])}
    assert "the account does not balance: price_data holds 1 row" in newest_observation(instance, "price_data", DAYS[0])
    passed, description = checks(result)["price_data", "accounts_balance"]
    assert not passed
    assert "trading-data verify" in str(description)


def test_what_was_archived_before_dagster_knew_turns_green_with_the_next_run(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    rig.store.record_prices([bar("A", timestamp=noon(day)) for day in DAYS[:5]])
    rig.archive_all(PRICE)
    assert run_archive(instance).success
    for asset in ("price_data", "price_5m", "price_1h", "price_1d"):
        assert green(instance, asset) == set(map(str, DAYS[:5])), asset


def test_a_late_row_makes_its_day_green_but_not_its_aggregates_before_they_are_refreshed(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    rig.store.record_prices([bar("A", timestamp=noon(FIRST))])
    assert run_archive(instance).success
    assert green(instance, "price_data") == {str(FIRST)}
    assert green(instance, "price_5m") == set()
    assert run_assets(instance, ["price_5m", "price_1h", "price_1d"], str(FIRST)).success
    assert green(instance, "price_5m") == green(instance, "price_1d") == {str(FIRST)}


def test_a_fill_leaves_a_day_for_another_one(rig: Rig, instance: dg.DagsterInstance) -> None:
    """Dagster cannot turn a green day back: its newest event says that no row is left, and so does that of the aggregate."""
    first, second = DAYS[:2]
    rig.store.record_trades([fill(timestamp=noon(first))])
    assert run_archive(instance).success
    assert run_assets(instance, ["trade_1d"], str(first)).success
    rig.store.record_trades([fill(timestamp=noon(second))])
    assert run_archive(instance).success
    assert green(instance, "trade_data") == {str(first), str(second)}
    assert newest_figures(instance, "trade_data", first)["dagster/partition_row_count"] == 0
    (request,) = tick("late_data_sensor", instance).run_requests
    asked = {request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")}
    assert asked == {str(first), str(second)}
    for day in (first, second):
        assert run_assets(instance, ["trade_1d"], str(day)).success
    assert rig.query("select bucket, fills from trade_1d") == [(day_start(second), 1)]
    for asset in ("trade_data", "trade_1d"):
        assert newest_figures(instance, asset, first)["note"] == "no row is left: each was corrected to another day"
        assert "note" not in newest_figures(instance, asset, second)


def test_today_is_told_every_time_and_what_else_it_says_once_an_hour(rig: Rig, instance: dg.DagsterInstance) -> None:
    moment = datetime.now(UTC)
    rig.store.record_prices([bar("A", timestamp=day_start(moment.date()))])
    first = run_archive(instance)
    rig.store.record_prices([bar("B", timestamp=day_start(moment.date()))])
    second = run_archive(instance)
    full, light = (materializations(run, "price_data")[today()] for run in (first, second))
    assert "day" in full
    assert "day" not in light
    assert light["dagster/partition_row_count"] == 2
    assert materializations(first, "price_5m")
    assert not materializations(second, "price_5m")
    reported = {name for (asset, name), _ in checks(first).items() if asset == "price_data"}
    assert reported >= {"nothing_quarantined", "nothing_missing", "accounts_balance", "declared_is_actual"}
    assert not [name for asset, name in checks(second) if asset == "price_data"]


def test_a_verdict_that_changes_is_told_at_once(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_trades([fill("o1", "e1", timestamp=datetime.now(UTC))])
    assert checks(run_archive(instance))["trade_data", "nothing_quarantined"][0]
    rig.entry("journal:trade", {"order_id": "x"})
    assert not checks(run_archive(instance))["trade_data", "nothing_quarantined"][0]
    assert ("trade_data", "nothing_quarantined") not in checks(run_archive(instance))
    rig.entry("journal:trade", {"order_id": "y"})
    assert "2 entries wait" in str(checks(run_archive(instance))["trade_data", "nothing_quarantined"][1])


def test_each_check_runs_by_itself(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices([bar("A", timestamp=noon(FIRST))])
    rig.archive_all(PRICE)
    defs = build_defs()
    wanted = [
        spec.key
        for assets in defs.asset_checks or []
        if isinstance(assets, dg.AssetChecksDefinition)
        for spec in assets.check_specs
    ]
    assert (
        len(wanted) == 3 * 5 + 1 + 5 + 3 + 1 + 6 + 7
    )  # tables (bars have one more), aggregates, snapshots, state, health
    job = dg.define_asset_job("only_checks", selection=dg.AssetSelection.checks(*wanted))
    with_job = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    result = with_job.resolve_job_def("only_checks").execute_in_process(instance=instance, raise_on_error=False)
    assert result.success
    assert len(result.get_asset_check_evaluations()) == len(wanted)
    assert not result.get_asset_materialization_events()


def test_without_a_partition_a_run_takes_today(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_metrics([])
    rig.store.record_trades([fill("o1", "e1", timestamp=datetime.now(UTC))])
    job = build_defs().resolve_job_def("archive_job")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert failure(result, "trade_data") == ""
    assert result.success
    assert green(instance, "trade_data") == green(instance, "trade_1d") == {today()}
    assert green(instance, METRICS.table) == set()
