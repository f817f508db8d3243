"""Where the partitions of a home begin, and that older data move it without losing what is green."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from trading_data.datasets import PRICE
from trading_data.first_day import first_day, move_back, settle_first_day
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.partitions import daily
from trading_data.orchestration.resources import Environment
from trading_data.settings import HOME, START, Settings, first_shown_day
from trading_data.times import day_start
from trading_data_tests.orchestration.ticks import run_archive, tick
from trading_data_tests.rig import Rig, bar

TODAY, OLD = date(2026, 11, 27), date(2024, 1, 2)


def test_a_fresh_home_begins_today_and_one_with_data_where_they_begin(tmp_path: Path) -> None:
    assert first_day(tmp_path) is None
    assert settle_first_day(tmp_path / "fresh", [], TODAY) == TODAY
    assert settle_first_day(tmp_path / "fresh", [], TODAY + timedelta(days=9)) == TODAY
    assert settle_first_day(tmp_path / "upgraded", [TODAY, OLD], TODAY) == OLD
    assert settle_first_day(tmp_path / "fresh", [OLD], TODAY) == OLD


def test_it_moves_back_and_never_forth(tmp_path: Path) -> None:
    assert not move_back(tmp_path, OLD), "a home without a first day shows everything"
    settle_first_day(tmp_path, [], TODAY)
    assert move_back(tmp_path, OLD)
    assert not move_back(tmp_path, TODAY)
    assert first_day(tmp_path) == OLD


def test_a_file_that_says_no_day_is_no_first_day(tmp_path: Path) -> None:
    (tmp_path / "first_day").write_text("soon")
    assert first_day(tmp_path) is None


def test_what_the_environment_names_goes_before_the_file(tmp_path: Path) -> None:
    settle_first_day(tmp_path, [], TODAY)
    assert first_shown_day({HOME: str(tmp_path)}) == TODAY
    assert Settings.from_env({HOME: str(tmp_path)}).start == date(2000, 1, 1), "older rows are accepted all the same"
    assert first_shown_day({HOME: str(tmp_path), START: "2000-01-01"}) == date(2000, 1, 1)
    assert first_shown_day({HOME: str(tmp_path / "none")}) == date(2000, 1, 1)


def test_older_rows_move_it_keep_what_is_green_and_have_their_aggregates(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(START, raising=False)
    home = rig.settings.home
    settle_first_day(home, [], TODAY)
    recent = TODAY - timedelta(days=1)
    rig.store.record_prices([bar("A", timestamp=day_start(TODAY))])
    assert run_archive(instance, str(TODAY)).success
    assert len(daily(Environment()).get_partition_keys()) >= 1
    rig.store.record_prices([bar("A", timestamp=day_start(day)) for day in (OLD, OLD + timedelta(days=9), recent)])
    loaded_before = build_defs()
    assert run_archive(instance, str(TODAY)).success
    assert first_day(home) == OLD
    assert daily(Environment()).get_first_partition_key() == str(OLD)
    green = instance.get_materialized_partitions(dg.AssetKey("price_data"))
    assert green == {str(OLD), str(OLD + timedelta(days=9)), str(recent), str(TODAY)}
    (home / "first_day").write_text(f"{TODAY}\n")  # as the code location has it until it is loaded anew
    requests = tick("late_data_sensor", instance).run_requests
    (request,) = [request for request in requests if "trading_data/days" in request.tags]
    job = loaded_before.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance,
        asset_selection=list(request.asset_selection),
        tags=request.tags,
        partition_key=request.partition_key,
    )
    assert done.success
    assert rig.query("select count(*) from archive_refresh where day < %s", TODAY) == [(0,)]
    for aggregate in PRICE.aggregates:
        assert instance.get_materialized_partitions(dg.AssetKey(aggregate.name)) >= {str(OLD), str(recent)}
