"""One long outage: the archive is away for hours of the feed while the live tier's memory fills, and nothing is lost.

Runs are those of `archive_job`, as the schedule begins them, on a live tier of the test's own with little memory. The
archive is stopped where it is embedded; one that a URL points at is left alone, and the runs look for it at a closed port.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from trading_data import MarketData
from trading_data.archive.database import Archive
from trading_data.archive.schema.migrate import migrate
from trading_data.archive.trim import trim_drained
from trading_data.archive.verify.run import verify
from trading_data.datasets import DATASETS, PRICE
from trading_data.errors import ArchiveTierError, LiveTierFull
from trading_data.intake.snapshot import snapshot
from trading_data.intake.store import Intake
from trading_data.live.connection import connect_for_archiver, read_memory
from trading_data.live.journal import find_journals, inspect
from trading_data.live.store import LiveStore
from trading_data.local.valkey import Valkey
from trading_data.orchestration.assets.snapshots import EMERGENCY_RATIO
from trading_data.settings import Settings
from trading_data.times import DAY
from trading_data_tests.crash.outage import THE_DAY, Feed, Tiers, drained, last_in_order, leave, left_too_early
from trading_data_tests.crash.workload import trimmed_early, unbalanced
from trading_data_tests.orchestration.ticks import checks, failure, materializations, run_archive
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar

PLENTY, LITTLE = 8_000_000, 400_000
"""Bytes that the live tier has left: for more than a day of this market, and for less than two hours."""
BEFORE, AT_FIRST, LATER = 30, 30, 320
"""Minutes of the market."""
CHECKS = ("nothing_missing", "accounts_balance", "equals_raw")


@pytest.fixture
def tiers(servers: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiers]:
    made = Tiers(servers, tmp_path, monkeypatch.setenv)
    migrate(Archive(made.settings.require_timescale_url()))
    yield made
    made.stop()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """In memory: what runs leave behind is not what is tried here, and on a disk it takes half of the time."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def lengths(rig: Rig) -> dict[str, int]:
    """Entries in each journal."""
    return {
        name: info.length
        for dataset in DATASETS.values()
        for name, info in inspect(rig.client, find_journals(rig.client, dataset)).items()
    }


def trimmed_to_the_intake(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    """What a run that found no archive says that its snapshots have trimmed."""
    found = {
        name: materializations(result, dataset.snapshot).get(str(THE_DAY), {}) for name, dataset in DATASETS.items()
    }
    return {name: one.get("trimmed to the intake", 0) for name, one in found.items()}


def warnings(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(record.user_message for record in instance.all_logs(result.run_id) if record.level == 30)


def assert_away(result: dg.ExecuteInProcessResult) -> None:
    """Snapshots go on; loads fail, each with one clear line; readers get one too, or are told what they cannot see."""
    assert not result.success
    for dataset in DATASETS.values():
        assert failure(result, dataset.snapshot) == ""
        assert "nothing is lost: entries waiting in the journals and the intake are loaded when it is back" in failure(
            result, dataset.table
        )
    reader = MarketData.from_env()
    with pytest.raises(ArchiveTierError, match="does not answer"):
        reader.prices(None, MOMENT - DAY, MOMENT)
    (missing,) = reader.prices(None, MOMENT - DAY, MOMENT, partial=True).attrs["missing"]
    assert missing.startswith("archive: away (")
    assert missing.endswith("rows that are archived and have left the journals are missing")
    reader.close()


def wait_for_trouble(feeding: threading.Thread, feed: Feed, seen: int) -> bool:
    """Wait until the live tier refuses a write once more, or, then False, until all was sent."""
    while feeding.is_alive():
        if feed.counts.waits > seen:
            return True
        feeding.join(0.05)
    return False


def test_a_full_live_tier_is_drained_and_keeps_the_lease(tmp_path: Path) -> None:
    """Full to the last byte, nothing drained yet, the archive away, and producers that go on trying."""
    server = Valkey(tmp_path / "redis")
    server.start()
    try:
        url = str(server.url())
        store, client, intake = LiveStore.from_url(url), connect_for_archiver(url), Intake(str(tmp_path / "intake"))
        leave(client, LITTLE)
        minutes = itertools.count()

        def try_on() -> int:
            """Write until it is refused, which evicts whatever has a lifetime; how much was taken."""
            for taken in itertools.count():
                try:
                    store.record_prices([bar("A", next(minutes))])
                except LiveTierFull as full:
                    return taken + 1 - len(full.refused)
            return 0

        written = try_on()
        drained = 0
        for one in snapshot(client, intake, PRICE, earliest=EARLIEST, archived=None, batch_entries=200):
            drained += one.rows
            written += try_on()
        assert drained > 2 * 200
        assert trim_drained(client, intake, PRICE).removed == drained - 1
        written += try_on()
        assert inspect(client, ["journal:price:A"])["journal:price:A"].added == written
        store.close()
        client.close()
    finally:
        server.stop()


def test_hours_without_an_archive_lose_nothing(tiers: Tiers, instance: dg.DagsterInstance) -> None:
    rig = Rig(tiers.settings)
    rig.clean()
    leave(rig.client, PLENTY)
    feed = Feed(rig)
    feed.send(BEFORE)
    assert run_archive(instance, str(THE_DAY)).success
    assert {name: rig.account(dataset).accepted for name, dataset in DATASETS.items()} == feed.counts.accepted
    archived = lengths(rig)

    tiers.archive_goes()
    feed.forget_order()
    feed.send(AT_FIRST)
    before = lengths(rig)
    result = run_archive(instance, str(THE_DAY))
    assert read_memory(rig.client, 0.0).ratio < EMERGENCY_RATIO
    assert_away(result)
    assert trimmed_to_the_intake(result) == dict.fromkeys(DATASETS, 0)
    assert lengths(rig) == before
    assert "emergency" not in warnings(instance, result)
    assert sum(len(rig.intake.pending(name)) for name in DATASETS) == len(DATASETS)

    leave(rig.client, LITTLE)
    feeding = threading.Thread(target=feed.send, args=(LATER,))
    feeding.start()
    trimmed: Counter[str] = Counter()
    emergencies = refused = 0
    try:
        while wait_for_trouble(feeding, feed, refused):
            assert read_memory(rig.client, 0.0).ratio >= EMERGENCY_RATIO
            result = run_archive(instance, str(THE_DAY))
            assert_away(result)
            found = trimmed_to_the_intake(result)
            assert found["price"] > 0
            assert f"so {found['price']:,} entries that are durable in the intake left" in warnings(instance, result)
            assert left_too_early(rig, archived) == []
            trimmed.update(found)
            emergencies += 1
            refused = feed.counts.waits
    finally:
        feed.stop.set()
        feeding.join()
    assert emergencies >= 2
    assert feed.counts.unsent == 0
    assert feed.counts.minutes == BEFORE + AT_FIRST + LATER
    assert "live tier is full" in feed.said[0]
    assert "accepts all records again" in feed.said[-1]

    for name, dataset in DATASETS.items():
        list(snapshot(rig.client, rig.intake, dataset, earliest=EARLIEST, archived=None))
        assert last_in_order(drained(rig, dataset)) == last_in_order(feed.sent[name])

    tiers.archive_comes_back()
    rig.close()
    rig = Rig(tiers.settings)
    result = run_archive(instance, str(THE_DAY))
    assert result.success, failure(result, "price_data")
    assert {name: passed for name, (passed, _) in checks(result).items() if name[1] in CHECKS and not passed} == {}
    assert unbalanced(rig) == []
    assert trimmed_early(rig) == []
    assert sum(map(rig.accepted, DATASETS.values())) == sum(feed.counts.accepted.values()) + feed.counts.repeats
    for name, dataset in DATASETS.items():
        columns = ", ".join(f'"{column}"' for column in dataset.names)
        assert sorted(rig.query(f"select {columns} from {dataset.table}")) == sorted(feed.model[name].values())
    assert [one for one in verify(rig.client, rig.archive, rig.intake, deep=True) if not one.ok] == []
    rig.close()
