"""The archive tier measured: what each kind of server offers, and thresholds crossed by real rows, locks and sessions."""

import os
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from trading_data.archive.chunks import chunks, compress
from trading_data.archive.database import Archive
from trading_data.datasets import DATASETS, METRICS, PRICE
from trading_data.errors import ArchiveTierError, SchemaError
from trading_data.operations.health.metric import Figures
from trading_data.operations.health.rules import TIMESCALE
from trading_data.operations.health.thresholds import Finding, judge
from trading_data.operations.health.timescale import measure_timescale
from trading_data.settings import TIMESCALE_URL
from trading_data.times import now
from trading_data_tests.rig import Rig, bar, measurement

ALONE = not os.environ.get(TIMESCALE_URL)
several_sessions = pytest.mark.skipif(ALONE, reason=f"the embedded server has one session: set {TIMESCALE_URL}")


def strict(figures: Figures, key: str, above: float) -> list[Finding]:
    """The findings of one threshold, with a limit that a test can cross."""
    return judge([replace(one, above=above) for one in TIMESCALE if one.key == key], figures)


def test_an_engine_of_one_session_names_what_it_does_not_offer(rig: Rig) -> None:
    found = measure_timescale(rig.archive)
    names = {one.name for one in found if one.value is None and "one session" in one.not_offered}
    kept = {"timescale.connections", "timescale.locks.waiting", "timescale.cache.hits", "timescale.oldest_transaction"}
    assert (kept <= names) if ALONE else not names
    assert all(one.not_offered for one in found if one.value is None)
    assert (found.value("timescale.database.bytes") or 0) > 1e6
    assert 0 < (found.value("timescale.entry_hashes.bytes") or 0) < 1e6
    if not ALONE:
        assert 1 <= (found.value("timescale.connections") or 0) < 100
        assert 0 < (found.value("timescale.oldest_transaction") or 0) < 2e9
        assert found.value("timescale.locks.waiting") is not None


def test_sizes_chunks_and_compression_by_table(rig: Rig) -> None:
    rig.store.record_prices([bar(symbol, minute) for minute in range(300) for symbol in "ABC"])
    rig.store.record_metrics([measurement()])
    rig.archive_all(PRICE)
    rig.archive_all(METRICS)
    found = measure_timescale(rig.archive)
    assert [found.value("timescale.chunks", dataset.table) for dataset in DATASETS.values()] == [1, 0, 1]
    none = next(one for one in found.named("timescale.table.compression") if one.subject == PRICE.table)
    assert (none.value, none.not_offered) == (None, "no chunk is compressed yet")
    (chunk,) = chunks(rig.archive, PRICE)
    assert found.value("timescale.table.bytes", PRICE.table) == chunk.bytes_on_disk
    assert found.texts["largest chunks"][0].startswith(chunk.name)
    compress(rig.archive, chunk)
    found = measure_timescale(rig.archive, sizes=False)
    assert found.value("timescale.chunks.compressed", PRICE.table) == 1
    assert (found.value("timescale.table.compression", PRICE.table) or 0) > 1
    assert found.named("timescale.table.bytes") == ()


def test_a_chunk_that_should_be_compressed_by_now(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.store.record_prices([bar(timestamp=now() - timedelta(days=age)) for age in (40, 0)])
    rig.archive_all(PRICE)

    def overdue() -> list[tuple[str, float | None]]:
        figures = measure_timescale(rig.archive, sizes=False)
        return [(one.key, one.value) for one in judge(TIMESCALE, figures) if one.key.startswith("timescale_chunks")]

    assert overdue() == []  # it was made just now, as by a file of old days: the night has its turn first
    tomorrow = now() + timedelta(days=1, minutes=1)
    monkeypatch.setattr("trading_data.operations.health.timescale.now", lambda: tomorrow)
    assert overdue() == [("timescale_chunks_overdue.price_data", 1.0)]
    compress(rig.archive, chunks(rig.archive, PRICE)[0])
    assert overdue() == []


def test_the_disk_is_measured_where_it_is_known(rig: Rig, tmp_path: Path) -> None:
    found = measure_timescale(rig.archive, disk=tmp_path)
    assert 0 < (found.value("timescale.disk.free_ratio") or 0) < 1
    nowhere = measure_timescale(rig.archive, disk=tmp_path / "none")
    assert nowhere.value("timescale.disk.free") is None
    assert next(one for one in nowhere if one.name == "timescale.disk.free").not_offered


@several_sessions
def test_a_long_transaction_and_a_lock_that_is_waited_for(rig: Rig) -> None:
    url = rig.archive.url.replace("postgresql+psycopg2", "postgresql", 1)
    with closing(psycopg2.connect(url)) as waiter, closing(psycopg2.connect(url)) as holder:
        with holder.cursor() as cursor:
            cursor.execute("lock table archive_ledger in access exclusive mode")

        def wait() -> None:
            with waiter.cursor() as other:
                other.execute("lock table archive_ledger in access exclusive mode")
            waiter.rollback()

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not (waits := strict(measure_timescale(rig.archive, sizes=False), "timescale_lock_wait", 0.01)):
                assert time.monotonic() < deadline
            assert "lock" in waits[0].message
            figures = measure_timescale(rig.archive, sizes=False)
            assert (figures.value("timescale.locks.waiting"), figures.value("timescale.transactions.idle")) == (1, 1)
            assert strict(figures, "timescale_long_transaction", 0.01)
            assert not strict(figures, "timescale_long_transaction", 600)
        finally:
            holder.rollback()
            thread.join()
    deadline = time.monotonic() + 30
    while strict(measure_timescale(rig.archive, sizes=False), "timescale_long_transaction", 0.01):
        assert time.monotonic() < deadline
    assert measure_timescale(rig.archive, sizes=False).value("timescale.locks.waiting") == 0


@several_sessions
def test_sessions_are_counted(rig: Rig) -> None:
    url = rig.archive.url.replace("postgresql+psycopg2", "postgresql", 1)
    before = measure_timescale(rig.archive, sizes=False).value("timescale.connections") or 0
    held = [psycopg2.connect(url) for _ in range(10)]
    figures = measure_timescale(rig.archive, sizes=False)
    assert (figures.value("timescale.connections") or 0) >= before + 10
    assert strict(figures, "timescale_connections", 0.05)
    for one in held:
        one.close()


@several_sessions
def test_slow_statements_where_they_are_kept(rig: Rig) -> None:
    def slowest() -> tuple[float | None, str]:
        (found,) = measure_timescale(rig.archive, sizes=False).named("timescale.statements.slowest")
        return found.value, found.not_offered

    assert slowest() == (None, "the extension pg_stat_statements is not installed in this database")
    with rig.archive.autocommit() as cursor:
        try:
            cursor.execute("create extension pg_stat_statements")
            cursor.execute("select pg_stat_statements_reset()")
        except psycopg2.Error as error:
            pytest.skip(f"the server does not keep statements: {error}")
        assert slowest() == (None, "no slow statement was called 10 times")
        for _ in range(10):
            cursor.execute("select pg_sleep(0.02)")
        found = measure_timescale(rig.archive)
        assert strict(found, "timescale_slow_statement", 0.01)
        assert any("pg_sleep" in line for line in found.texts["slowest statements"])
        cursor.execute("drop extension pg_stat_statements")
    assert slowest()[0] is None


@several_sessions
def test_what_a_role_may_not_see_is_not_a_zero(rig: Rig) -> None:
    role = f"trading_data_looker_{os.getpid()}"
    with rig.archive.autocommit() as cursor:
        cursor.execute(f"create role {role} login password 'secret'")
        try:
            cursor.execute(f"grant select on all tables in schema public to {role}")
            _, _, rest = rig.archive.url.rpartition("@")
            url = rig.archive.url.replace("postgresql+psycopg2", "postgresql", 1)
            looker = Archive(f"postgresql+psycopg2://{role}:secret@{rest}")
            with closing(psycopg2.connect(url)) as holder, holder.cursor() as inside:
                inside.execute("select 1")
                (hidden,) = measure_timescale(looker, sizes=False).named("timescale.transactions.longest")
            assert hidden.value is None
            assert "grant pg_monitor" in hidden.not_offered
            looker.close()
        finally:
            cursor.execute(f"drop owned by {role}")
            cursor.execute(f"drop role {role}")


def test_away_or_not_migrated_is_an_error(rig: Rig) -> None:
    away = Archive("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    with pytest.raises(ArchiveTierError, match="does not answer"):
        measure_timescale(away)
    with rig.archive.transaction() as cursor:
        cursor.execute("update archive_migration set name = 'x' || name where name like '001%'")
    try:
        with pytest.raises(SchemaError):
            measure_timescale(rig.archive)
    finally:
        with rig.archive.transaction() as cursor:
            cursor.execute("update archive_migration set name = substr(name, 2) where name like 'x001%'")
