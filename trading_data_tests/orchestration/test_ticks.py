"""Sensors and schedules, one tick at a time on a real instance, with their reasons to skip."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.datasets import METRICS
from trading_data.errors import ArchiveTierError, LiveTierError
from trading_data.live.connection import MemoryReading, seconds_until_full
from trading_data.orchestration.left import ticks_around
from trading_data.orchestration.partitions import few_ranges, ranges
from trading_data.orchestration.pressure import PressureState, judge
from trading_data_tests.orchestration.ticks import (
    end_run,
    run_archive,
    run_assets,
    schedule_tick,
    started_run,
    tick,
    today,
)
from trading_data_tests.rig import MOMENT, Rig, bar, measurement

MB = 1_000_000


class Sensor:
    """The decision, fed with readings two minutes apart by default."""

    def __init__(self) -> None:
        self.state, self.at = PressureState(), 1_000_000.0

    def read(
        self, used: float, *, limit: float = 100 * MB, after: float = 120.0, under_way: str | None = None
    ) -> tuple[bool, str]:
        self.at += after
        verdict = judge(self.state, MemoryReading(self.at, int(used), int(limit)), under_way)
        self.state = PressureState.load(verdict.state.dump())
        return verdict.fire, verdict.reason


def test_fires_above_three_quarters_and_rearms_below_sixty() -> None:
    sensor = Sensor()
    assert sensor.read(74 * MB) == (
        False,
        "74.0% of 100.0 MB used, not growing; fires at 75% or under 600 s to full; armed",
    )
    assert sensor.read(75 * MB)[0]
    assert not sensor.read(70 * MB)[0]
    fired, reason = sensor.read(65 * MB)
    assert not fired
    assert reason.endswith("not armed before it is below 60%")
    assert "armed again" in sensor.read(59 * MB)[1]
    assert sensor.read(76 * MB)[0]


def test_fires_under_ten_minutes_to_full() -> None:
    sensor = Sensor()
    for used in (10 * MB, 12 * MB):
        assert not sensor.read(used, after=60)[0]
    assert not sensor.read(14 * MB, after=60)[0]  # 2 MB a minute: 43 minutes left
    assert sensor.read(50 * MB, after=60)[0]


def test_fires_again_after_a_pause_while_pressure_stays() -> None:
    sensor = Sensor()
    assert sensor.read(90 * MB)[0]
    fired, reason = sensor.read(90 * MB, after=30)
    assert not fired
    assert "fired 30 s ago, fires again after 60 s" in reason
    fired, reason = sensor.read(90 * MB, after=31, under_way="0123456789")
    assert not fired
    assert "archive run 01234567 is queued or under way" in reason
    assert sensor.read(90 * MB, after=31)[0]


def test_no_limit_is_said() -> None:
    assert Sensor().read(5 * MB, limit=0) == (
        False,
        "5.0 MB used and no maxmemory set: set one, or nothing can be forecast",
    )


@given(st.lists(st.tuples(st.floats(1, 1e6), st.integers(0, 10**9)), max_size=12))
def test_the_forecast_is_never_negative(readings: list[tuple[float, int]]) -> None:
    at, moments = 0.0, []
    for step, used in readings:
        at += step
        moments.append(MemoryReading(at, used, 10**9))
    seconds = seconds_until_full(moments)
    assert seconds is None or seconds >= 0


def test_the_forecast_of_steady_growth_is_exact() -> None:
    readings = [MemoryReading(at, int(at * 1000), 100_000) for at in (10.0, 20.0, 30.0)]
    assert seconds_until_full(readings) == pytest.approx(70)


def test_memory_pressure_asks_for_todays_partition_and_not_twice(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_prices([bar()])
    limit = rig.client.config_get("maxmemory")["maxmemory"]
    rig.client.config_set("maxmemory", int(rig.client.info("memory")["used_memory"] * 1.2))
    try:
        first = tick("memory_pressure_sensor", instance)
        (request,) = first.run_requests
        assert request.partition_key == today()
        assert request.tags["trading_data/trigger"] == "memory_pressure"
        assert request.tags["dagster/priority"] == "10"
        run = started_run(instance, **{"trading_data/trigger": "memory_pressure"})
        assert "is queued or under way" in tick("memory_pressure_sensor", instance, first.cursor).skip_message
        end_run(instance, run, dg.DagsterRunStatus.FAILURE)
        assert "fires again after 60 s" in tick("memory_pressure_sensor", instance, first.cursor).skip_message
        state = PressureState.load(first.cursor)
        waited = PressureState(state.armed, state.fired_at - 61, state.readings)
        (again,) = tick("memory_pressure_sensor", instance, waited.dump()).run_requests
        assert again.run_key != request.run_key
    finally:
        rig.client.config_set("maxmemory", str(limit))


def test_a_server_that_is_away_fails_the_tick_and_is_no_reason_to_skip(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres@127.0.0.1:1/trading")
    with pytest.raises(LiveTierError, match="does not answer"):
        tick("memory_pressure_sensor", instance)
    with pytest.raises(ArchiveTierError, match="does not answer"):
        tick("late_data_sensor", instance)


def test_pending_intake(rig: Rig, instance: dg.DagsterInstance) -> None:
    started_run(instance, "archive_job")
    end_run(instance, instance.get_runs()[0], dg.DagsterRunStatus.SUCCESS)
    assert "no batch waits in the intake; journals" in tick("pending_intake_sensor", instance).skip_message
    rig.store.record_metrics([measurement()])
    (drained,) = rig.snapshot(METRICS)
    assert "not long enough yet" in tick("pending_intake_sensor", instance).skip_message
    old = Path(drained.file.path)
    old.rename(old.with_name(f"{drained.file.turn - 60 * 10**9:020d}-{drained.file.content_hash}.parquet"))
    run = started_run(instance)
    assert "is queued or under way" in tick("pending_intake_sensor", instance).skip_message
    end_run(instance, run, dg.DagsterRunStatus.SUCCESS)
    asked = tick("pending_intake_sensor", instance)
    assert asked.run_requests[0].partition_key == today()
    assert "a run was requested" in tick("pending_intake_sensor", instance, asked.cursor).skip_message
    assert run_archive(instance).success
    assert (
        "no batch waits in the intake; journals" in tick("pending_intake_sensor", instance, asked.cursor).skip_message
    )


def test_entries_wait_for_a_schedule_slower_than_ten_minutes(
    rig: Rig, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_DATA_ARCHIVE_CRON", "0 * * * *")
    rig.store.record_metrics([measurement()])
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    assert tick("pending_intake_sensor", instance).skip_message in {  # the hour may end between the two lines
        f"no batch waits in the intake; entries wait for `archive_schedule`, which ticks next at {next_hour:%Y-%m-%d %H:%M}Z"
        for next_hour in (hour, hour + timedelta(hours=1))
    }
    assert schedule_tick("archive_schedule", instance, hour).run_requests
    rig.snapshot(METRICS)
    assert "not long enough yet" in tick("pending_intake_sensor", instance).skip_message


@pytest.mark.parametrize(
    ("cron", "last", "following"),
    [
        ("*/5 * * * *", "2026-11-27 15:00", "2026-11-27 15:05"),
        ("0 3 * * *", "2026-11-27 03:00", "2026-11-28 03:00"),
        ("*/5 14-21 * * 1-5", "2026-11-27 15:00", "2026-11-27 15:05"),
        ("*/5 8-13 * * 1-5", "2026-11-27 13:55", "2026-11-30 08:00"),
    ],
)
def test_the_ticks_around_a_moment(cron: str, last: str, following: str) -> None:
    ticks = ticks_around(cron, datetime(2026, 11, 27, 15, 0, 2, tzinfo=UTC))
    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in ticks] == [last, following]


def test_late_data_asks_once_a_range_and_again_when_it_failed(rig: Rig, instance: dg.DagsterInstance) -> None:
    rig.store.record_metrics([measurement(minute=-1440 * day) for day in (0, 1, 5)])
    rig.snapshot(METRICS)
    rig.load(METRICS)
    first = tick("late_data_sensor", instance)
    days = [
        (request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"])
        for request in first.run_requests
    ]
    assert days == [("2026-11-15", "2026-11-15"), ("2026-11-19", "2026-11-20")]
    assert "requested just now" in tick("late_data_sensor", instance, first.cursor).skip_message
    run = started_run(instance, "__ASSET_JOB", **{"trading_data/late": first.run_requests[0].tags["trading_data/late"]})
    assert "under way" in tick("late_data_sensor", instance, first.cursor).skip_message
    end_run(instance, run, dg.DagsterRunStatus.FAILURE)
    assert len(tick("late_data_sensor", instance, "{}").run_requests) == 2


def test_late_rows_on_many_days_are_few_runs_and_each_day_has_its_own_status(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    """Every second day of sixty: one run turns exactly these thirty days green."""
    back = [2 * at for at in range(30)]
    rig.store.record_metrics([measurement(minute=-1440 * day) for day in back])
    rig.snapshot(METRICS)
    rig.load(METRICS)
    (request,) = tick("late_data_sensor", instance).run_requests
    first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    names = [aggregate.name for aggregate in METRICS.aggregates]
    assert {key.to_user_string() for key in request.asset_selection} == set(names)
    assert run_assets(instance, names, first, last=last).success
    late = {str(MOMENT.date() - timedelta(days=day)) for day in back}
    assert (first, last) == (min(late), max(late))
    for name in names:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == late
    assert "no day but today" in tick("late_data_sensor", instance).skip_message


def test_days_that_lie_far_apart_are_no_range() -> None:
    start = date(2026, 1, 1)
    few = [start + timedelta(days=3 * at) for at in range(5)]
    assert few_ranges(few) == [(day, day) for day in few]
    assert few_ranges([*few, few[-1] + timedelta(days=2)]) == [(few[0], few[-1] + timedelta(days=2))]
    months = [start + timedelta(days=30 * at) for at in range(20)]
    assert few_ranges(months) == [(day, day) for day in months]


def test_the_archive_schedule_runs_todays_partition_unless_one_is_under_way(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    rig.store.record_metrics([measurement()])
    moment = datetime(2026, 11, 20, 23, 55, tzinfo=UTC)
    (request,) = schedule_tick("archive_schedule", instance, moment).run_requests
    assert request.partition_key == "2026-11-20"
    run = started_run(instance)
    assert (
        "the next tick takes what comes meanwhile" in schedule_tick("archive_schedule", instance, moment).skip_message
    )
    end_run(instance, run, dg.DagsterRunStatus.SUCCESS)
    assert schedule_tick("archive_schedule", instance, moment).run_requests


HASH: dict[Any, Any] = {
    "timestamp": "2026-11-20T15:30:00+00:00",
    "open": "1",
    "high": "1",
    "low": "1",
    "close": "1",
    "volume": "1",
    "source": "other",
}
NOTHING = "nothing waits: every entry and value that was accepted is archived"


def test_at_rest_nothing_is_asked_for(rig: Rig, instance: dg.DagsterInstance) -> None:
    moment = datetime.now(UTC)
    assert schedule_tick("archive_schedule", instance, moment).skip_message == NOTHING
    assert tick("pending_intake_sensor", instance).skip_message == (
        "no batch waits in the intake, and nothing that was accepted"
    )
    ways: dict[str, Callable[[], object]] = {
        "an entry": lambda: rig.store.record_prices([bar("A")]),
        "an entry in a journal that was drained before": lambda: rig.store.record_prices([bar("A", 1)]),
        "a rejected entry": lambda: rig.entry("journal:trade", {"order_id": "x"}),
        "a value without an entry": lambda: rig.client.hset("stocks:price:B", mapping=HASH),
        "a batch": lambda: (rig.store.record_metrics([measurement()]), rig.snapshot(METRICS)),
        "state": lambda: rig.client.hset("positions:active:A", mapping={"quantity": "1"}),
    }
    for name, accept in ways.items():
        accept()
        assert schedule_tick("archive_schedule", instance, moment + timedelta(hours=1)).run_requests, name
        assert run_archive(instance).success
        skipped = schedule_tick("archive_schedule", instance, moment + timedelta(hours=1))
        assert (skipped.run_requests, skipped.skip_message) == ([], NOTHING), name


def test_a_hole_that_nothing_can_fill_asks_for_no_run(rig: Rig, instance: dg.DagsterInstance) -> None:
    ids = rig.store.record_metrics([measurement(minute=at) for at in range(6)])
    assert run_archive(instance).success
    rig.query("delete from archive_range where dataset = 'metrics' returning 1")
    rig.client.xdel("journal:metrics", *ids[1:3])
    assert schedule_tick("archive_schedule", instance, datetime.now(UTC)).run_requests
    assert run_archive(instance).success
    rig.client.xdel("journal:metrics", ids[4])
    assert schedule_tick("archive_schedule", instance, datetime.now(UTC)).skip_message == NOTHING


def test_what_was_accepted_before_a_start_is_archived_at_once_and_the_schedule_keeps_its_five_minutes(
    rig: Rig, instance: dg.DagsterInstance
) -> None:
    rig.store.record_prices([bar("A")])
    (request,) = tick("pending_intake_sensor", instance).run_requests
    assert request.partition_key == today()
    run = started_run(instance, **request.tags)
    end_run(instance, run, dg.DagsterRunStatus.SUCCESS)
    assert "no batch waits in the intake; journals" in tick("pending_intake_sensor", instance).skip_message
    moment = datetime.now(UTC)
    assert schedule_tick("archive_schedule", instance, moment + timedelta(minutes=2)).run_requests


def test_days_as_ranges() -> None:
    days = [datetime(2026, 1, day, tzinfo=UTC).date() for day in (5, 1, 2, 2, 9)]
    assert [(str(low), str(high)) for low, high in ranges(days)] == [
        ("2026-01-01", "2026-01-02"),
        ("2026-01-05", "2026-01-05"),
        ("2026-01-09", "2026-01-09"),
    ]
    assert ranges([]) == []
