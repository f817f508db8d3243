"""`price_history`, `backfill_job` and `gap_backfill_schedule` on a real instance, with a vendor over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from trading_data.datasets import PRICE
from trading_data.errors import BadInput
from trading_data.intake.import_rows import import_rows
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.by_hand import run_now
from trading_data.sources.vendors.choose import VENDOR
from trading_data_tests.calendars.missing_days import FIRST, LAST, SOURCE, Seller, bars, days
from trading_data_tests.orchestration.ticks import failure, materializations, schedule_tick, started_run
from trading_data_tests.rig import EARLIEST, Rig
from trading_data_tests.sources.vendors.alpaca_history import KEY, SECRET

NIGHT = datetime(2026, 11, 16, 1, 30, tzinfo=UTC)
RANGE = {"dagster/asset_partition_range_start": str(FIRST), "dagster/asset_partition_range_end": str(LAST)}


@pytest.fixture
def seller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seller]:
    made = Seller()
    for name, value in {
        VENDOR: "alpaca",
        "APCA_API_KEY_ID": KEY,
        "APCA_API_SECRET_KEY": SECRET,
        "TRADING_DATA_ALPACA_URL": made.server.url,
    }.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


def monday(rig: Rig, *symbols: str) -> None:
    tables = [bars(symbol, FIRST) for symbol in symbols]
    list(import_rows(rig.intake, PRICE, "test", tables, origin="file", earliest=EARLIEST))
    rig.load(PRICE)
    rig.refresh(PRICE)


def backfill(instance: dg.DagsterInstance, config: dict[str, object] | None = None) -> dg.ExecuteInProcessResult:
    run_config = {"ops": {"price_history": {"config": config}}} if config else None
    return (
        build_defs()
        .resolve_job_def("backfill_job")
        .execute_in_process(instance=instance, tags=RANGE, run_config=run_config, raise_on_error=False)
    )


def test_a_night_fills_what_is_missing_and_the_next_has_nothing_to_do(
    rig: Rig, instance: dg.DagsterInstance, seller: Seller
) -> None:
    monday(rig, "A", "B")
    for day in days()[1:]:
        seller.has("A", day)
    (request,) = schedule_tick("gap_backfill_schedule", instance, NIGHT).run_requests
    tags = request.tags
    assert (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]) == (
        "2026-11-10",
        "2026-11-13",
    )
    result = (
        build_defs()
        .resolve_job_def("backfill_job")
        .execute_in_process(instance=instance, tags=dict(tags), raise_on_error=False)
    )
    assert result.success
    figures = materializations(result, "price_history")
    assert list(figures) == [str(day) for day in days()[1:]]
    assert figures["2026-11-10"]["bars"] == 390
    assert figures["2026-11-10"]["symbols without a bar"] == 1
    assert "A  ·" in figures["2026-11-10"]["before"]
    assert materializations(result, "price_data")["2026-11-12"]["dagster/partition_row_count"] == 390
    frame = rig.reader.prices("A", "2026-11-09", "2026-11-14", "1d")
    assert frame["volume"].tolist() == [39000.0] * 5
    assert rig.query("select distinct source from price_data") == [(SOURCE,)]
    skipped = schedule_tick("gap_backfill_schedule", instance, NIGHT + timedelta(hours=1)).skip_message
    assert skipped is not None
    assert skipped.startswith("nothing is missing since ")
    assert "'no trade': 4" in skipped


def test_the_schedule_waits_for_runs_under_way(rig: Rig, instance: dg.DagsterInstance, seller: Seller) -> None:
    monday(rig, "A")
    (request,) = schedule_tick("gap_backfill_schedule", instance, NIGHT).run_requests
    run = started_run(instance, "backfill_job", **dict(request.tags))
    skipped = schedule_tick("gap_backfill_schedule", instance, NIGHT + timedelta(days=1)).skip_message
    assert skipped == f"5 days of symbols are missing; run {run.run_id[:8]} of an earlier night is under way"
    assert seller.asked == []


def test_without_a_vendor_the_schedule_says_what_is_missing(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monday(rig, "A")
    monkeypatch.delenv(VENDOR, raising=False)
    skipped = schedule_tick("gap_backfill_schedule", instance, NIGHT).skip_message
    assert skipped is not None
    assert skipped.startswith("4 days of symbols are missing since ")
    assert skipped.endswith("no vendor is named: set TRADING_DATA_VENDOR")
    result = backfill(instance)
    assert result.success  # as part of "Materialize all" it fails nothing
    assert instance.get_materialized_partitions(dg.AssetKey("price_history")) == set()
    observed = instance.fetch_observations(dg.AssetKey("price_history"), limit=10).records
    assert {record.asset_observation.description for record in observed if record.asset_observation} == {
        f"{day} is not green: no vendor is named: set TRADING_DATA_VENDOR" for day in days()
    }
    for name in ("backfill_job", "price_history"):
        with pytest.raises(
            BadInput, match="no vendor is named, so there are no bars to fetch: set TRADING_DATA_VENDOR to alpaca"
        ):
            run_now(rig.settings, None, [name], FIRST, FIRST)


def test_a_users_own_backfill(rig: Rig, instance: dg.DagsterInstance, seller: Seller) -> None:
    assert "name some in the run's config" in failure(backfill(instance), "price_history")
    for day in days():
        seller.has("NEW", day)
    result = backfill(instance, {"symbols": ["NEW"]})
    assert result.success
    assert rig.query("select count(*) from price_data where symbol = 'NEW'") == [(5 * 390,)]
    seller.server.requests.clear()
    assert backfill(instance, {"symbols": ["NEW"]}).success
    assert seller.asked == []
    assert backfill(instance, {"symbols": ["NEW"], "again": True}).success
    assert seller.asked == [(FIRST, ("NEW",))]
    assert rig.query("select sum(unchanged) from archive_ledger") == [(5 * 390,)]


def test_a_vendor_that_fails_makes_a_red_run_and_keeps_what_came(
    rig: Rig, instance: dg.DagsterInstance, seller: Seller
) -> None:
    monday(rig, "A")
    for day in days()[1:]:
        seller.has("A", day)
    seller.fails("cats", "well", "cats")
    result = backfill(instance)
    assert not result.success
    assert "failed on 1 of 4 days, first on 2026-11-11" in failure(result, "price_history")
    assert len(rig.intake.pending("price")) == 3


def test_a_day_without_a_bar_is_not_green(rig: Rig, instance: dg.DagsterInstance, seller: Seller) -> None:
    monday(rig, "A")
    with_bars, *empty = days()[1:]
    seller.has("A", with_bars)
    result = backfill(instance)
    assert result.success
    # Of Monday nothing was missing, and its rows are there.
    assert instance.get_materialized_partitions(dg.AssetKey("price_history")) == {str(FIRST), str(with_bars)}
    for day in empty:
        chosen = dg.AssetRecordsFilter(dg.AssetKey("price_history"), asset_partitions=[str(day)])
        (record, *_) = instance.fetch_observations(chosen, limit=1).records
        assert record.asset_observation is not None
        assert record.asset_observation.description == (
            f"{day} is not green: no row: alpaca:iex gave no bar for 1 symbol, 0 of them refused"
        )
    assert str(with_bars) in materializations(result, "price_data")  # loaded behind it


def test_a_backfill_without_a_partition_says_what_to_give(
    rig: Rig, instance: dg.DagsterInstance, seller: Seller
) -> None:
    monday(rig, "A")
    job = build_defs().resolve_job_def("backfill_job")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert "name the days: `trading-data run backfill_job --day" in failure(result, "price_history")
