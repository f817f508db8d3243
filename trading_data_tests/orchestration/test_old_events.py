"""Dagster's own storage: what a cycle costs, what thirty days take, and that pruning leaves what is green."""

import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from sqlalchemy import make_url

from trading_data.datasets import DATASETS
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.old_events import LISTED, prune_events, storage_bytes
from trading_data.orchestration.run_findings import large_storage
from trading_data.orchestration.runs import old_runs
from trading_data.times import day_start, now
from trading_data_tests.orchestration.ticks import run_archive, run_assets, today
from trading_data_tests.rig import Rig, bar, fill, measurement

ROOT = Path(__file__).resolve().parents[2]
DAYS = 30 if os.environ.get("TRADING_DATA_TEST_FULL") else 3
FIRST = date(2026, 10, 1)
CYCLES = 288
"""Cycles of five minutes a day."""
MOST_A_CYCLE = 30_000
MOST = 500_000_000
QUEUED = 4_600
"""Measured bytes of the further events of a run that the daemon launches: queued, dequeued, starting, launched."""
_COPY_EVENTS = """
insert into event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
select md5(run_id || at), event, dagster_event_type, timestamp - at * interval '5 min', step_key, asset_key,
       case when partition is not null then ((timestamp - at * interval '5 min')::date)::text end
from event_logs cross join generate_series(1, %(cycles)s) as at
where run_id = case when at %% 12 = 0 then %(full)s else %(light)s end
"""
_COPY_RUNS = """
insert into runs (run_id, pipeline_name, status, run_body, create_timestamp, update_timestamp, start_time, end_time)
select md5(run_id || at), pipeline_name, status, replace(run_body, run_id, md5(run_id || at)),
       create_timestamp - at * interval '5 min', update_timestamp - at * interval '5 min', start_time - at * 300,
       end_time - at * 300
from runs cross join generate_series(1, %(cycles)s) as at
where run_id = case when at %% 12 = 0 then %(full)s else %(light)s end
"""


class Storage:
    """Dagster's storage in PostgreSQL, and statements on it."""

    def __init__(self, url: str, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.connection = psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql", 1))
        self.connection.autocommit = True

    def ask(self, statement: str, **values: object) -> list[tuple[int, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def cycle(self, run_id: str) -> int:
        """The stored bytes of a run: its events and its row."""
        ((events,),) = self.ask(
            "select sum(pg_column_size(one.*))::bigint from event_logs as one where run_id = %(run)s", run=run_id
        )
        ((row,),) = self.ask("select pg_column_size(one.*) from runs as one where run_id = %(run)s", run=run_id)
        return events + row


@pytest.fixture
def storage(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """The storage of `dagster.yaml`, in a database of the test's own."""
    given = rig.settings.dagster_url or ""
    server = psycopg2.connect(given.replace("postgresql+psycopg2", "postgresql", 1))
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute("drop database if exists old_events with (force)")
        cursor.execute("create database old_events")
    url = make_url(given).set(database="old_events").render_as_string(hide_password=False)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "trading_data" / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        made = Storage(url, instance)
        yield made
        made.connection.close()
    with server.cursor() as cursor:
        cursor.execute("drop database old_events with (force)")
    server.close()


def cycle(rig: Rig, storage: Storage, at: int, *, state: bool) -> str:
    """The id of an archive run with data of each dataset, with the state, or without it as two of three scheduled runs are."""
    midnight = day_start(now().date()) + timedelta(seconds=at)
    rig.store.record_prices([bar(name, timestamp=midnight) for name in "ABCDE"])
    rig.store.record_trades([fill(f"o{at}", timestamp=midnight)])
    rig.entry(
        "journal:metrics",
        {"metric_name": "m", "timestamp": midnight.isoformat(), "value": "1", "unit": measurement().unit},
    )
    job = build_defs().resolve_job_def("archive_job")
    tables = {dg.AssetKey(dataset.table) for dataset in DATASETS.values()}
    if not state:
        job = job.get_subset(asset_selection=tables, asset_check_selection=set())
    result = job.execute_in_process(instance=storage.instance, partition_key=today())
    assert result.success
    return result.run_id


def test_thirty_days_of_cycles_and_a_backfilled_day_that_stays_green(rig: Rig, storage: Storage) -> None:
    instance = storage.instance
    rig.store.record_prices([bar("A", timestamp=day_start(FIRST) + timedelta(hours=12))])
    assert run_assets(instance, ["price_data", "price_5m", "price_1h", "price_1d"], str(FIRST)).success
    storage.ask("update event_logs set timestamp = timestamp - %(age)s", age=timedelta(days=DAYS))
    full, light = cycle(rig, storage, 1, state=True), cycle(rig, storage, 2, state=False)
    stored = storage.cycle(light) + QUEUED
    assert stored <= MOST_A_CYCLE, f"{stored} bytes a cycle"
    before = storage_bytes(instance)
    storage.ask(_COPY_EVENTS, cycles=CYCLES * DAYS, full=full, light=light)
    storage.ask(_COPY_RUNS, cycles=CYCLES * DAYS, full=full, light=light)
    after = storage_bytes(instance)
    assert before is not None
    assert after is not None
    print(f"{stored:,} bytes a cycle; {DAYS} days: {(after - before) / 1e6:.0f} MB with indexes")
    assert after - before < MOST * DAYS / 30
    later = now() + timedelta(days=29)  # all but the last of these days are thirty days old then
    would = prune_events(instance, later, dry_run=True)
    assert prune_events(instance, later) == would
    assert would["events"] > (DAYS - 1) * CYCLES * 10
    kinds = "select distinct dagster_event_type from event_logs where timestamp < %(at)s"
    left = {kind for (kind,) in storage.ask(kinds, at=(later - timedelta(days=30)).replace(tzinfo=None))}
    assert not left & set(LISTED)
    for asset in ("price_data", "price_5m", "price_1d"):
        assert {str(FIRST), today()} <= instance.get_materialized_partitions(dg.AssetKey(asset))
    told = storage.ask(
        "select count(*), count(distinct (asset_key, partition)) from event_logs "
        "where dagster_event_type = 'ASSET_MATERIALIZATION' and timestamp < %(at)s",
        at=(later - timedelta(days=30)).replace(tzinfo=None),
    )
    assert told[0][0] <= told[0][1]
    gone = [leftover for leftover in old_runs(instance, ["archive_job"], later) if leftover.goes]
    assert len(gone) > min(4_900, (DAYS - 1) * CYCLES * 0.9), "at most 5,000 are looked at in a night"


def test_the_size_is_a_finding_beyond_its_limit(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert large_storage(storage.instance) == []
    monkeypatch.setattr("trading_data.orchestration.run_findings.STORAGE_BYTES", 1.0)
    (found,) = large_storage(storage.instance)
    assert (found.key, found.severity) == ("dagster_storage", "warn")


def test_debug_lines_go_after_a_week_and_failures_stay(
    rig: Rig, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
        failed = run_archive(storage.instance)
    assert not failed.success
    event = """'{"level": %(level)s, "a": 1}'"""
    line = f"insert into event_logs (run_id, event, timestamp) values ('x', {event}, now() at time zone 'utc')"
    storage.ask(line, level=10)
    storage.ask(line, level=20)
    assert prune_events(storage.instance, now() + timedelta(days=8))["debug lines"] == 1
    assert prune_events(storage.instance, now() + timedelta(days=31))["log lines"] == 1
    (ended,) = storage.ask("select count(*) from event_logs where dagster_event_type = 'PIPELINE_FAILURE'")
    assert ended == (1,)


def test_the_newest_verdict_of_a_check_stays(rig: Rig, storage: Storage) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("price_data"), "accounts_balance")
    for passed in (True, False):
        storage.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=passed)
        )
    counts = prune_events(storage.instance, now() + timedelta(days=31))
    assert (counts["superseded verdicts"], counts["verdicts' events"]) == (1, 1)
    record = storage.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.evaluation is not None
    assert not record.evaluation.passed
