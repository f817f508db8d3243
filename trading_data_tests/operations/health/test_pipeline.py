"""The way from journal to archive: thresholds crossed by what waits, and cleared when it has arrived."""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from trading_data.archive.database import Archive
from trading_data.cli.main import group
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import ArchiveTierError, LiveTierError
from trading_data.live.connection import Client, connect
from trading_data.operations.alerts.notify import judge_tiers
from trading_data.operations.health.collect import Measured, findings, last_day_of, measure_all, record
from trading_data.operations.health.metric import Figures, Metric
from trading_data.operations.health.pipeline import measure_flow, stale
from trading_data.operations.health.rules import THRESHOLDS
from trading_data.operations.health.thresholds import judge
from trading_data.times import now
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

RECENT = timedelta(minutes=1)


def flow(rig: Rig, moment: datetime | None = None) -> Figures:
    return measure_flow(rig.client, rig.archive, rig.intake, moment, calendar="24/7")


def keys(rig: Rig, moment: datetime | None = None) -> dict[str, str]:
    found = judge(THRESHOLDS, flow(rig, moment))
    return {one.key: one.severity for one in found if not one.key.startswith("memory_full")}


def test_nothing_anywhere_is_nothing_wrong(rig: Rig) -> None:
    found = flow(rig)
    assert keys(rig) == {}
    for name in ("price", "trade", "metrics"):
        assert found.value("flow.journal.length", name) == 0
        (age,) = (one for one in found.named("flow.archived.age") if one.subject == name)
        assert (age.value, age.not_offered) == (None, "nothing is archived yet")


@pytest.mark.parametrize(("minutes", "severity"), [(40, "warn"), (150, "error")])
def test_an_unread_journal(rig: Rig, minutes: int, severity: str) -> None:
    then = int((now().timestamp() - minutes * 60) * 1000)
    rig.entry_at("journal:metrics", f"{then}-0", measurement())
    rig.store.record_metrics([measurement("other")])
    assert keys(rig) == {"journal_lag.metrics": severity}
    found = flow(rig)
    assert found.value("flow.journal.oldest", "metrics") == pytest.approx(minutes * 60, abs=60)
    assert (found.value("flow.journal.undrained", "metrics"), found.value("flow.journal.unarchived", "metrics")) == (
        2,
        2,
    )
    assert (found.value("flow.journal.bytes", "metrics") or 0) > 100
    rig.snapshot(METRICS)
    found = flow(rig)
    assert (found.value("flow.journal.undrained", "metrics"), found.value("flow.journal.unarchived", "metrics")) == (
        0,
        2,
    )
    assert keys(rig) == {"journal_lag.metrics": severity}
    rig.load(METRICS)
    rig.refresh(METRICS)
    assert "journal_lag.metrics" not in keys(rig)
    assert flow(rig).value("flow.journal.oldest", "metrics") == 0


def test_the_oldest_entry_of_many_journals(rig: Rig) -> None:
    moment = now()
    rig.store.record_prices([bar(f"S{number}", timestamp=moment) for number in range(400)])
    fields = {"timestamp": moment.isoformat(), "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1, "source": "x"}
    then = int((moment.timestamp() - 3000) * 1000)
    rig.client.xadd("journal:price:OLD", fields, id=f"{then}-0")  # type: ignore[arg-type]
    found = flow(rig)
    assert found.value("flow.journal.count", "price") == 401
    assert found.value("flow.journal.oldest", "price") == pytest.approx(3000, abs=60)
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("S1", timestamp=moment)])
    assert (flow(rig).value("flow.journal.oldest", "price") or 0) < 60


@pytest.mark.parametrize(("minutes", "severity"), [(40, "warn"), (150, "error")])
def test_a_batch_that_waits(rig: Rig, minutes: int, severity: str) -> None:
    rig.store.record_metrics([measurement("m", timestamp(rig))])
    rig.snapshot(METRICS)
    (file,) = rig.intake.pending("metrics")
    older = Path(file.path).with_name(f"{file.turn - minutes * 60 * 10**9:020d}-{file.content_hash}.parquet")
    Path(file.path).rename(older)
    assert keys(rig) == {"batches_waiting.metrics": severity}
    rig.load(METRICS)
    assert keys(rig) == {}


def timestamp(_: Rig) -> int:
    """Minutes from MOMENT to just now."""
    return int((now() - MOMENT).total_seconds() // 60)


def test_an_entry_in_quarantine(rig: Rig) -> None:
    rig.entry("journal:trade", {"order_id": "o1", "timestamp": "no time"})
    rig.archive_all(TRADE)
    found = judge(THRESHOLDS, flow(rig))
    told = {one.key: one.message for one in found}
    assert told["quarantine.trade"] == "1 rejected trade entry waits for a decision"
    with rig.archive.transaction() as cursor:
        cursor.execute("update archive_quarantine set settled = 'discarded', settled_at = now()")
    assert keys(rig) == {}


def of_loss(rig: Rig) -> dict[str, tuple[str, str]]:
    """What is wrong with journals and batches: message and command by key."""
    found = judge(THRESHOLDS, flow(rig))
    return {
        one.key: (one.message, one.command) for one in found if one.key.startswith(("journal_lost", "batch_damaged"))
    }


def test_entries_that_are_lost_until_they_are_acknowledged(rig: Rig) -> None:
    rig.store.record_prices([bar("A")])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", minute) for minute in range(1, 5)])
    rig.client.xtrim("journal:price:A", maxlen=1, approximate=False)
    for _ in range(2):  # not drained yet, and archived
        assert flow(rig).value("flow.journal.lost", "price") == 3
        message, command = of_loss(rig)["journal_lost.price"]
        assert message.startswith("3 price entries or more are lost: ")
        assert "journal:price:A" in message
        rig.archive_all(PRICE)
    assert list(of_loss(rig)) == ["journal_lost.price"]
    assert CliRunner().invoke(group, shlex.split(command)[1:]).exit_code == 0
    assert of_loss(rig) == {}
    assert flow(rig).value("flow.journal.lost", "price") == 0


def test_a_damaged_batch_is_a_finding_and_hides_no_figure(rig: Rig) -> None:
    rig.store.record_metrics([measurement()])
    rig.snapshot(METRICS)
    rig.store.record_metrics([measurement(minute=1)])
    rig.snapshot(METRICS)
    path = Path(rig.intake.pending("metrics")[0].path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    rig.store.record_trades([fill()])
    found = flow(rig)
    assert found.value("flow.journal.undrained", "trade") == 1
    assert found.value("flow.batches.waiting", "metrics") == 2
    assert (found.value("flow.journal.undrained", "metrics"), found.value("flow.journal.lost", "metrics")) == (0, 0)
    message, command = of_loss(rig)["batch_damaged.metrics"]
    assert str(path) in message
    assert command == "trading-data verify"
    rig.client.xtrim("journal:metrics", maxlen=0, approximate=False)
    assert set(of_loss(rig)) == {"batch_damaged.metrics", "journal_lost.metrics"}
    path.write_bytes(whole)
    assert of_loss(rig) == {}


def test_too_many_batches_are_not_opened_and_what_was_lost_is_not_called_over(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.store.record_metrics([measurement()])
    rig.snapshot(METRICS)
    monkeypatch.setattr("trading_data.operations.health.journals._HEADS", 0)
    (one,) = (one for one in flow(rig).named("flow.journal.lost") if one.subject == "metrics")
    assert (one.value, one.not_offered.startswith("1 batch waits, too many to open each")) == (None, True)
    judged = judge_tiers(rig.client, rig.archive, rig.intake, now())
    assert judged.unknown("journal_lost.metrics")
    assert not judged.unknown("journal_lost.price")


def test_rows_that_wait_for_their_aggregates(rig: Rig) -> None:
    rig.store.record_metrics([measurement("m", timestamp(rig))])
    rig.snapshot(METRICS)
    rig.load(METRICS)
    assert keys(rig) == {}
    with rig.archive.transaction() as cursor:
        cursor.execute("update archive_refresh set since = since - interval '2 hours'")
    assert keys(rig) == {"refreshes_waiting.metrics": "warn"}
    rig.refresh(METRICS)
    assert keys(rig) == {}


def test_freshness_by_the_newest_row_and_not_by_the_last_run(rig: Rig) -> None:
    moment = MOMENT + timedelta(hours=1)
    rig.store.record_prices([bar()])
    rig.archive_all(PRICE)
    assert keys(rig, moment) == {"freshness.price": "warn"}
    rig.store.record_prices([bar(minute=-30)])  # a run that brings only what is older does not make it fresh
    rig.archive_all(PRICE)
    assert keys(rig, moment) == {"freshness.price": "warn"}
    rig.store.record_prices([bar(minute=50)])
    rig.archive_all(PRICE)
    assert keys(rig, moment) == {}


def test_a_producer_whose_clock_is_ahead(rig: Rig) -> None:
    rig.store.record_trades([fill(timestamp=now() + timedelta(minutes=20))])
    rig.archive_all(TRADE)
    assert keys(rig) == {"clock_ahead.trade": "warn"}
    assert keys(rig, now() + timedelta(minutes=30)) == {}


FRIDAY = datetime(2026, 11, 20, 20, 55, tzinfo=UTC)
"""Five minutes before New York closes."""


@pytest.mark.parametrize(
    ("newest", "moment", "minutes"),
    [
        (FRIDAY, FRIDAY + timedelta(minutes=4), 4),
        (FRIDAY, FRIDAY + timedelta(hours=2), 5),
        (FRIDAY, datetime(2026, 11, 22, 12, tzinfo=UTC), 5),
        (FRIDAY, datetime(2026, 11, 23, 14, 50, tzinfo=UTC), 25),
        (datetime(2026, 11, 20, 18, 0, tzinfo=UTC), datetime(2026, 11, 22, 12, tzinfo=UTC), 180),
        (datetime(2026, 11, 25, 21, 0, tzinfo=UTC), datetime(2026, 11, 26, 23, tzinfo=UTC), 0),
        (FRIDAY, FRIDAY - timedelta(minutes=3), 0),
    ],
    ids=["open", "evening", "weekend", "Monday", "it failed on Friday", "Thanksgiving", "ahead"],
)
def test_only_the_time_counts_in_which_the_market_is_open(newest: datetime, moment: datetime, minutes: int) -> None:
    assert stale(PRICE, newest, moment, "XNYS") == minutes * 60


def test_measurements_have_no_hours_and_an_unknown_exchange_is_said() -> None:
    assert stale(METRICS, FRIDAY, FRIDAY + timedelta(hours=20), "XNYS") == 20 * 3600
    said = stale(PRICE, FRIDAY, FRIDAY + timedelta(hours=1), "NOWHERE")
    assert isinstance(said, str)
    assert "NOWHERE" in said


AWAY = Archive("postgresql+psycopg2://nobody@127.0.0.1:1/none", connect_timeout=1)


def test_a_tier_that_is_away_is_a_finding_and_hides_nothing_else(rig: Rig) -> None:
    gone = connect("redis://127.0.0.1:1/0", timeout=1, retries=0)
    then = int((now().timestamp() - 9000) * 1000)
    rig.entry_at("journal:metrics", f"{then}-0", measurement())
    rig.snapshot(METRICS)

    def told(client: Client, archive: Archive) -> list[str]:
        found = findings(measure_all(client, archive, rig.intake, now(), calendar="24/7"))
        assert all(one.message and one.command for one in found)
        return [one.key for one in found if not one.key.startswith("memory_full")]

    assert told(rig.client, rig.archive) == ["journal_lag.metrics"]
    assert told(gone, rig.archive) == ["redis_away"]
    assert told(rig.client, AWAY) == ["timescale_away"]
    assert told(gone, AWAY) == ["redis_away", "timescale_away"]
    measured = measure_all(rig.client, AWAY, rig.intake, now())
    assert measured.flow.value("flow.journal.length", "metrics") == 1
    (lag,) = (one for one in measured.flow.named("flow.journal.oldest") if one.subject == "metrics")
    assert (lag.value, lag.not_offered) == (None, "the archive could not be measured")
    with pytest.raises(ArchiveTierError):
        measure_flow(rig.client, AWAY, rig.intake)
    with pytest.raises(LiveTierError):
        measure_flow(gone, rig.archive, rig.intake)


def test_without_the_archive_it_hurts_when_memory_is_full(rig: Rig) -> None:
    measured = measure_all(rig.client, AWAY, rig.intake, now())
    full = Figures(tuple(one for one in measured.flow if one.name != "flow.memory.full_in"))
    assert findings(Measured(measured.redis, measured.timescale, full, measured.away))[0].time_to_impact is None
    full = Figures((*full, Metric("flow.memory.full_in", 4000.0, "s")))
    (one,) = findings(Measured(measured.redis, measured.timescale, full, measured.away))
    assert (one.key, one.time_to_impact) == ("timescale_away", 4000.0)


def test_a_schema_of_another_release_is_a_finding_of_its_own(rig: Rig) -> None:
    with rig.archive.transaction() as cursor:
        cursor.execute("update archive_migration set name = 'x' || name where name like '001%'")
    try:
        first = findings(measure_all(rig.client, rig.archive, rig.intake, now()))[0]
    finally:
        with rig.archive.transaction() as cursor:
            cursor.execute("update archive_migration set name = substr(name, 2) where name like 'x001%'")
    assert (first.key, first.command) == ("timescale_schema", "trading-data migrate")


def test_figures_go_the_way_of_all_measurements_and_come_back(rig: Rig) -> None:
    moment = now()
    for minutes in (50, 30, 0):
        measured = measure_all(rig.client, rig.archive, rig.intake, moment, calendar="24/7")
        count = record(rig.store, measured, moment - timedelta(minutes=minutes))
        assert count == sum(one.value is not None for one in measured) > 40
        if minutes == 30:
            rig.archive_all(METRICS)
    day = last_day_of(rig.reader, ["redis.memory.used"], moment)["redis.memory.used"]
    assert len(day) == 3
    assert all(value > 1e5 for value in day)
    assert last_day_of(rig.reader, ["flow.journal.length.metrics"], moment)["flow.journal.length.metrics"][0] == 0
    assert last_day_of(rig.reader, ["no.such.figure"], moment)["no.such.figure"] == []
    rows = rig.query("select unit from metrics_data where metric_name = 'timescale.database.bytes'")
    assert rows == [("bytes",), ("bytes",)]
