"""Chunks that have reached their age are packed, new and partial ones, and nobody who writes today waits for it."""

import threading
from datetime import timedelta

import pytest

from trading_data.archive.chunks import chunks, chunks_to_compress, compress
from trading_data.archive.database import Archive
from trading_data.datasets import PRICE
from trading_data.operations.maintenance import compression
from trading_data.operations.maintenance.compression import compress_aged
from trading_data_tests.operations.maintenance.ages import (
    NOW,
    SHORT,
    aggregates,
    compressed,
    rows,
    several_sessions,
    write_bars,
)
from trading_data_tests.rig import MOMENT, Rig, bar


def test_new_and_partial_chunks_of_their_age_are_compressed_and_no_others(rig: Rig) -> None:
    write_bars(rig, 0, 1, 2, 3)
    before = rows(rig), aggregates(rig)
    first = compressed(rig)
    assert {age: one.outcome for age, one in first.items()} == {2: "compressed", 3: "compressed"}
    assert all(one.after < one.before and (one.ratio or 0) > 1 for one in first.values())
    assert {(MOMENT.date() - chunk.day).days: chunk.compressed for chunk in chunks(rig.archive, PRICE)} == {
        3: True,
        2: True,
        1: False,
        0: False,
    }
    assert compressed(rig) == {}
    assert (rows(rig), aggregates(rig)) == before
    rig.store.record_prices([bar("A", minute=5 - 3 * 1440, close=9.5), bar("C", minute=-3 * 1440)])
    rig.archive_all(PRICE)
    assert {age: one.outcome for age, one in compressed(rig).items()} == {3: "compressed again"}
    assert compressed(rig) == {}


def test_rows_that_change_nothing_leave_nothing_to_compress(rig: Rig) -> None:
    write_bars(rig, 3)
    compressed(rig)
    write_bars(rig, 3)
    assert compressed(rig) == {}


def test_the_age_is_counted_from_the_end_of_the_chunk(rig: Rig) -> None:
    write_bars(rig, 2, minutes=1)
    (chunk,) = chunks(rig.archive, PRICE)
    early = chunk.end + SHORT.compress_after - timedelta(microseconds=1)
    assert list(compress_aged(rig.archive, SHORT, early)) == []
    assert [one.outcome for one in compress_aged(rig.archive, SHORT, early + timedelta(microseconds=1))] == [
        "compressed"
    ]


def test_many_chunks_and_a_refused_one_among_them(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "AT_A_TIME", 2)
    write_bars(rig, 2, 3, 4, 5, 6, minutes=2)
    frozen = next(chunk for chunk in chunks(rig.archive, PRICE) if chunk.day == (MOMENT - timedelta(days=4)).date())
    rig.query("select _timescaledb_functions.freeze_chunk(%s::regclass)", frozen.name)
    done = compressed(rig)
    rig.query("select _timescaledb_functions.unfreeze_chunk(%s::regclass)", frozen.name)
    assert {age for age, one in done.items() if one.outcome == "compressed"} == {2, 3, 5, 6}
    assert done[4].outcome == "refused"
    assert "frozen" in done[4].reason
    assert {age: one.outcome for age, one in compressed(rig).items()} == {4: "compressed"}


def test_a_chunk_that_has_gone_is_nobodys_fault(rig: Rig) -> None:
    write_bars(rig, 3, minutes=2)
    (chunk,) = chunks(rig.archive, PRICE)
    rig.query("select drop_chunks('price_data', older_than => %s)", chunk.end)
    assert compress(rig.archive, chunk) is False


@several_sessions
def test_today_is_written_while_yesterday_is_compressed(rig: Rig) -> None:
    write_bars(rig, 0, 1)
    other = Archive(rig.settings.require_timescale_url())
    yesterday = chunks(rig.archive, PRICE)[0]
    insert = "insert into price_data values ('Z', %s, 1, 1, 1, 1, 1, 'test', 1)"
    with rig.archive.transaction() as cursor:
        cursor.execute("select compress_chunk(%s::regclass)", (yesterday.name,))
        with other.transaction(lock="1ms") as beside:
            beside.execute(insert, (MOMENT + timedelta(hours=5),))
        with other.transaction(lock="1ms") as beside:
            beside.execute("select count(*) from price_data where timestamp >= %s", (yesterday.end,))
    other.close()


@several_sessions
def test_a_reader_in_the_way_is_waited_for_in_short_bites(rig: Rig) -> None:
    write_bars(rig, 2, 3, minutes=2)
    other = Archive(rig.settings.require_timescale_url())
    (busy, _) = chunks_to_compress(rig.archive, SHORT, NOW - SHORT.compress_after)
    with other.transaction() as cursor:
        cursor.execute(f"select count(*) from {busy}")
        done = compressed(rig, lock="20ms", pauses=(0.01, 0.01))
        assert {age: one.outcome for age, one in done.items()} == {3: "locked", 2: "compressed"}
    release, held = threading.Event(), threading.Event()

    def read() -> None:
        with other.transaction() as cursor:
            cursor.execute(f"select count(*) from {busy}")
            held.set()
            release.wait(10)

    reader = threading.Thread(target=read)
    reader.start()
    held.wait(10)
    done = compressed(rig, lock="20ms", pauses=_releasing(release))
    reader.join()
    other.close()
    assert {age: one.outcome for age, one in done.items()} == {3: "compressed"}


def _releasing(release: threading.Event) -> "list[float]":
    """Pauses, in the second of which the reader goes."""

    class Pauses(list[float]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield 0.01
            release.set()
            yield from [0.05] * 100

        def __len__(self) -> int:
            return 101

    return Pauses()
