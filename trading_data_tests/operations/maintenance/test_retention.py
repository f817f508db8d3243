"""What has had its time goes, once everything is proven; what is not proven stays, and the reason says why."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_data.archive.chunks import Chunk, chunks, drop
from trading_data.archive.load import load
from trading_data.archive.quarantine.queries import retry
from trading_data.archive.verify.run import verify
from trading_data.datasets import DATASETS, PRICE, TRADE
from trading_data.errors import Refused
from trading_data.operations.maintenance.cold_storage import ColdStore
from trading_data.operations.maintenance.preconditions import Facts
from trading_data.operations.maintenance.retention import judge
from trading_data.sources.files.read import check_columns
from trading_data.times import DAY, day_start
from trading_data_tests.operations.maintenance.ages import (
    METRICS_SHORT,
    NOW,
    SHORT,
    aggregates,
    cold,
    cold_files,
    compressed,
    retained,
    rows,
    several_sessions,
    verdicts,
    write_bars,
    write_measurements,
)
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill, measurement


def faults(rig: Rig) -> list[str]:
    return [one.message for one in verify(rig.client, rig.archive, rig.intake, deep=True) if not one.ok]


def reason(rig: Rig, age: int, dataset: Any = SHORT, **options: Any) -> str:
    verdict = verdicts(rig, dataset, **options)[age]
    assert not verdict.goes
    return verdict.reason


def test_old_chunks_go_and_nothing_else_changes(rig: Rig) -> None:
    write_bars(rig, 0, 9, 11, 12)
    compressed(rig)
    before, young = aggregates(rig), [row for row in rows(rig) if row[1] > MOMENT - 10 * DAY]
    done = retained(rig, run_id="r1")
    assert {age: one.goes for age, one in done.items()} == {12: True, 11: True, 9: False, 0: False}
    gone = done[12].dropped
    assert gone is not None
    assert (gone.rows, gone.buckets) == (260, {"price_5m": 52, "price_1h": 6, "price_1d": 2})
    assert rows(rig) == young
    assert aggregates(rig) == before
    assert {chunk.day for chunk in chunks(rig.archive, PRICE)} == {MOMENT.date(), (MOMENT - 9 * DAY).date()}
    assert faults(rig) == []
    books = rig.query("select day, rows, run_id, cold from archive_dropped order by day")
    days = [(MOMENT - age * DAY).date() for age in (12, 11)]
    assert books == [(day, 260, "r1", str(path)) for day, path in zip(days, cold_files(rig), strict=True)]
    assert {age for age, one in retained(rig).items() if one.goes} == set()


def test_a_day_is_older_only_when_the_whole_of_it_is(rig: Rig) -> None:
    write_bars(rig, 10, 11, minutes=2)
    found = verdicts(rig)
    assert found[10].reason == "it ended 9 days ago; rows are kept for 10 days, 1 more"
    assert found[11].goes
    assert found[11].reason == (
        "11 days old, price_5m, price_1h, price_1d equal its rows, nothing waits for it; its rows are written to a cold "
        "file first"
    )


def test_refreshes_after_a_drop_change_no_aggregate(rig: Rig) -> None:
    """Of the dropped day, of its neighbour, and of one that is asked for over the dropped range."""
    write_bars(rig, 0, 9, 11)
    before = aggregates(rig)
    retained(rig)
    write_bars(rig, 9, minutes=131)
    after = aggregates(rig)
    assert after != before
    dropped = day_start((MOMENT - 11 * DAY).date())
    rig.query(
        "insert into archive_refresh (dataset, aggregate, day, low, high, batch_id) "
        "select 'price', name, %s, %s, %s, 1 from unnest(array['price_5m', 'price_1h', 'price_1d']) as name returning 1",
        dropped.date(),
        dropped,
        dropped + DAY,
    )
    with pytest.raises(Refused, match="no longer has a chunk of that day"):
        rig.refresh(PRICE)
    rig.query("insert into price_data values ('A', %s, 1, 1, 1, 1, 1, 'past the door', 1) returning 1", dropped)
    with pytest.raises(Refused, match="no longer has a chunk of that day"):
        rig.refresh(PRICE)
    assert aggregates(rig) == after
    rig.query("delete from price_data returning 1")
    rig.query("delete from archive_refresh returning 1")
    assert [fault for fault in faults(rig) if "retention dropped" in fault] == []
    with rig.archive.autocommit() as cursor:
        cursor.execute("call refresh_continuous_aggregate('price_5m', %s, %s)", (dropped, dropped + DAY))
    (found,) = [fault for fault in faults(rig) if "retention dropped" in fault]
    assert found.startswith("price_5m has changed since")


def test_late_rows_for_a_dropped_day_wait_in_quarantine(rig: Rig) -> None:
    write_bars(rig, 0, 11)
    retained(rig)
    before, held = aggregates(rig), rows(rig)
    late = MOMENT - 11 * DAY
    shown = rig.reader.prices(None, late - DAY, late + DAY, "1d").to_dict("records")
    rig.store.record_prices([bar("A", timestamp=late, close=9.5), bar("C", timestamp=late), bar("C", 200)])
    assert rig.reader.prices(None, late - DAY, late + DAY, "1d").to_dict("records") == shown
    rig.snapshot(PRICE)
    assert rig.reader.prices(None, late - DAY, late + DAY, "1d").to_dict("records") == shown
    assert rig.reader.prices(None, late - DAY, late + DAY).empty
    (loaded,) = rig.load(PRICE)
    assert (loaded.inserted, loaded.quarantined, loaded.offered) == (1, 2, 3)
    rig.refresh(PRICE)
    assert len(rows(rig)) == len(held) + 1
    old = [[row for row in found["price_1d"] if row[1] < MOMENT - DAY] for found in (before, aggregates(rig))]
    assert len(old[0]) == 2
    assert old[0] == old[1]
    kinds = rig.query("select kind, payload->>'journal' from archive_quarantine order by 2")
    assert kinds == [("day dropped", "journal:price:A"), ("day dropped", "journal:price:C")]
    assert faults(rig) == []
    # The journal goes back: what it brings again is refused once more, and counted once.
    rig.client.delete("journal:price:C")
    rig.store.record_prices([bar("C", timestamp=late), bar("C", timestamp=late + timedelta(minutes=1))])
    rig.snapshot(PRICE)
    again = rig.load(PRICE)
    assert [sum(getattr(one, name) for one in again) for name in ("inserted", "quarantined")] == [0, 2]
    assert faults(rig) == []


def test_what_a_journal_that_went_back_brings_for_a_dropped_day(rig: Rig) -> None:
    write_measurements(rig, 11)
    retained(rig, METRICS_SHORT)
    rig.client.delete("journal:metrics")
    for number in (5, 6):
        rig.entry_at("journal:metrics", f"{number}-0", measurement("m", -11 * 1440, value=float(number)))
    rig.entry_at("journal:metrics", "7-0", measurement("m", value=7.0))
    rig.snapshot(METRICS_SHORT)
    (loaded,) = rig.load(METRICS_SHORT)
    assert (loaded.offered, loaded.inserted, loaded.quarantined, loaded.replayed) == (3, 1, 2, 0)
    rig.refresh(METRICS_SHORT)
    assert len(rows(rig, METRICS_SHORT)) == 1


def test_quarantined_entries_of_a_dropped_day_go_on_waiting_when_retried(rig: Rig) -> None:
    write_bars(rig, 11)
    retained(rig)
    rig.store.record_prices([bar("A", timestamp=MOMENT - 11 * DAY, close=9.5)])
    rig.archive_all(PRICE)
    ((number,),) = rig.query("select quarantine_id from archive_quarantine")
    retry(rig.archive, rig.intake, ids=[number], earliest=EARLIEST)
    (loaded,) = rig.load(PRICE)
    assert (loaded.inserted, loaded.quarantined) == (0, 0)
    assert rig.query("select kind, settled from archive_quarantine") == [("day dropped", None)]
    retry(rig.archive, rig.intake, ids=[number], earliest=EARLIEST, edits={"timestamp": MOMENT.isoformat()})
    (loaded,) = rig.load(PRICE)
    assert loaded.inserted == 1
    assert faults(rig) == []


def test_fills_are_kept_for_ever(rig: Rig) -> None:
    rig.store.record_trades([fill(timestamp=MOMENT - 5000 * DAY)])
    rig.archive_all(TRADE)
    assert reason(rig, 5000, TRADE) == "kept for ever"


def test_what_waits_for_a_chunk_keeps_it(rig: Rig) -> None:
    write_bars(rig, 11, minutes=10)
    late = MOMENT - 11 * DAY
    rig.store.record_prices(
        [bar("A", timestamp=late, close=9.5), bar("B", timestamp=late - timedelta(hours=1)), bar("A")]
    )
    rig.snapshot(PRICE)
    assert reason(rig, 11) == "2 rows for it wait in the intake"
    rig.load(PRICE)
    assert reason(rig, 11) == "3 ranges of it wait for aggregates to be refreshed"
    rig.refresh(PRICE)
    assert verdicts(rig)[11].goes
    broken = {
        "timestamp": f"{late:%Y-%m-%dT%H:%M:%S}",
        "open": "1",
        "high": "1",
        "low": "1",
        "close": "1",
        "volume": "1",
    }
    rig.entry("journal:price:A", {**broken, "source": "s"})
    rig.entry("journal:price:A", {**broken, "timestamp": "soon"})
    rig.archive_all(PRICE)
    assert reason(rig, 11) == "1 entry for it waits in quarantine and may come back: `trading-data quarantine list`"
    rig.query("update archive_quarantine set settled = 'discarded' returning 1")
    assert verdicts(rig)[11].goes


def test_a_batch_that_cannot_be_read_keeps_everything(rig: Rig) -> None:
    write_bars(rig, 11, minutes=2)
    rig.store.record_prices([bar("A")])
    (drained,) = rig.snapshot(PRICE)
    path = Path(drained.file.path)
    path.write_bytes(path.read_bytes()[:-1])
    assert reason(rig, 11).startswith("it is not known whether rows for it wait in the intake: ")


def test_aggregates_that_differ_and_books_that_do_not_agree_keep_a_chunk(rig: Rig) -> None:
    write_measurements(rig, 11, 12)
    start = day_start((MOMENT - 11 * DAY).date())
    rig.query(
        "update metrics_data set value = -1 where timestamp >= %s and timestamp < %s returning 1", start, start + DAY
    )
    assert (
        reason(rig, 11, METRICS_SHORT)
        == "2 buckets of its aggregates differ from its rows: `trading-data verify --deep`"
    )
    rig.query("delete from metrics_data where timestamp = %s returning 1", MOMENT - 12 * DAY)
    assert reason(rig, 12, METRICS_SHORT) == "it differs from the ledger by 1 row: `trading-data verify`"
    done = retained(rig, METRICS_SHORT)
    assert not any(one.goes for one in done.values())
    assert len(chunks(rig.archive, METRICS_SHORT)) == 2


def test_a_backup_where_the_dataset_asks_for_one(rig: Rig) -> None:
    write_bars(rig, 11, minutes=2)
    asks = replace(SHORT, drop_needs_backup=True)
    assert reason(rig, 11, asks) == "no backup is known that covers it"
    assert reason(rig, 11, asks, covered=lambda *_: None) == "no backup is known that covers it"
    assert reason(rig, 11, asks, covered=lambda *_: False) == "the newest backup does not cover it"
    assert "a backup covers it" in verdicts(rig, asks, covered=lambda *_: True)[11].reason
    assert not retained(rig, asks)[11].goes
    assert retained(rig, asks, covered=lambda *_: True)[11].dropped


def test_the_cold_file_has_every_row_and_can_be_imported(rig: Rig) -> None:
    write_bars(rig, 11)
    compressed(rig)
    expected = [row[:8] for row in sorted(rows(rig), key=lambda row: (row[1], row[0]))]
    gone = retained(rig)[11].dropped
    assert gone is not None
    (path,) = cold_files(rig)
    assert gone.cold == str(path)
    assert path.name == f"{(MOMENT - 11 * DAY).date()}.parquet"
    assert path.stat().st_mode & 0o777 == 0o600
    check_columns(PRICE, str(path))
    table = pq.read_table(path)
    assert [tuple(row.values()) for row in table.to_pylist()] == expected
    head = json.loads(pq.read_metadata(path).metadata[b"trading_data"])
    assert (head["dataset"], head["rows"]) == ("price", 260)


def test_the_cold_file_of_exact_numbers(rig: Rig) -> None:
    keeps = replace(TRADE, drop_after=10 * DAY, export_before_drop=True)
    rig.store.record_trades([fill(timestamp=MOMENT - 11 * DAY, strategy='a, "b"\nc')])
    rig.archive_all(TRADE)
    retained(rig, keeps)
    (path,) = cold_files(rig)
    (row,) = pq.read_table(path).to_pylist()
    assert (row["price"], row["quantity"], row["strategy"]) == ("11.25", "10", 'a, "b"\nc')


def test_a_file_of_other_rows_is_kept_beside(rig: Rig) -> None:
    write_bars(rig, 11, minutes=2)
    (chunk,) = chunks(rig.archive, PRICE)
    first = cold(rig).export(rig.archive, SHORT, chunk)
    inode = cold_files(rig)[0].stat().st_ino
    assert cold(rig).export(rig.archive, SHORT, chunk) == first
    assert cold_files(rig)[0].stat().st_ino == inode
    write_bars(rig, 11, minutes=3)
    (chunk,) = chunks(rig.archive, PRICE)
    second = cold(rig).export(rig.archive, SHORT, chunk)
    day = chunk.day
    assert {path.name for path in cold_files(rig)} == {f"{day}.parquet", f"{day}.{first.sha256[:12]}.parquet"}
    assert (first.rows, second.rows) == (4, 6)


def test_a_cold_file_that_does_not_read_back_stops_the_drop(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bars(rig, 11, minutes=2)
    place = ColdStore._place

    def lossy(self: ColdStore, aside: Path, path: str) -> None:
        place(self, aside, path)
        pq.write_table(pq.read_table(path).slice(1), path)

    monkeypatch.setattr(ColdStore, "_place", lossy)
    with pytest.raises(Refused, match="does not read back"):
        retained(rig)
    assert len(rows(rig)) == 4


def test_a_cold_file_that_cannot_be_written_stops_the_drop(rig: Rig) -> None:
    write_bars(rig, 11, minutes=2)
    Path(rig.settings.backup_uri).write_text("in the way")
    with pytest.raises(Refused, match="TRADING_DATA_BACKUP_URI"):
        retained(rig)
    assert len(rows(rig)) == 4


def test_rows_that_come_between_the_cold_file_and_the_drop_keep_the_chunk(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bars(rig, 11, minutes=2)
    rig.store.record_prices([bar("C", timestamp=MOMENT - 11 * DAY)])
    rig.snapshot(PRICE)
    files = list(rig.intake.pending("price"))
    moved = [(file, rig.intake.read(file)) for file in files]
    for file in files:
        rig.intake.delete(file)
    store = cold(rig)
    export = store.export

    def then_load(*args: Any) -> Any:
        found = export(*args)
        for file, batch in moved:
            assert batch is not None
            load(rig.archive, PRICE, file, batch)
        rig.refresh(PRICE)
        return found

    monkeypatch.setattr(
        "trading_data.operations.maintenance.cold_storage.ColdStore.export", lambda _, *args: then_load(*args)
    )
    verdict = retained(rig)[11]
    assert not verdict.goes
    assert verdict.reason.startswith("some of its rows changed since they were written to ")
    assert len(rows(rig)) == 5


def test_exactly_one_chunk_goes_or_none(rig: Rig) -> None:
    write_bars(rig, 11, 12, minutes=2)
    first, second = chunks(rig.archive, PRICE)
    both = replace(first, end=second.end)
    nothing = replace(first, start=first.start - 5 * DAY, end=first.end - 5 * DAY)
    for wrong in (both, nothing):
        with pytest.raises(Refused, match="was not dropped"), rig.archive.transaction() as cursor:
            drop(cursor, PRICE, wrong)
    assert len(rows(rig)) == 8
    with rig.archive.transaction() as cursor:
        drop(cursor, PRICE, second)
    assert [chunk.day for chunk in chunks(rig.archive, PRICE)] == [first.day]


def test_a_chunk_that_is_no_day_stays(rig: Rig) -> None:
    rig.query("select 1 from set_chunk_time_interval('price_data', interval '7 days')")
    try:
        write_bars(rig, 40, minutes=2)
        (verdict,) = verdicts(rig).values()
        assert not verdict.goes
        assert verdict.reason.startswith("it is not one UTC day, but ")
    finally:
        rig.clean()
        rig.query("select 1 from set_chunk_time_interval('price_data', interval '1 day')")


@several_sessions
def test_a_reader_in_the_way_keeps_the_chunk_for_the_next_run(rig: Rig) -> None:
    write_bars(rig, 11, 12, minutes=2)
    busy = chunks(rig.archive, PRICE)[0]
    other = psycopg2.connect(rig.settings.require_timescale_url().replace("+psycopg2", ""))
    with other.cursor() as cursor:
        cursor.execute(f"select count(*) from {busy.name}")
        done = retained(rig, lock="20ms", pauses=(0.01,))
    other.close()
    assert done[12].reason == "another session holds locks on it (20ms waited, 2 times); the next run tries again"
    assert done[11].dropped
    assert retained(rig)[12].dropped
    assert faults(rig) == []


FACTS = st.builds(
    Facts,
    dropped_before=st.booleans(),
    refreshes=st.integers(0, 2),
    pending=st.integers(0, 2),
    unreadable=st.sampled_from(["", "damaged"]),
    quarantined=st.integers(0, 2),
    covered=st.sampled_from([None, False, True]),
    unbooked=st.integers(0, 2),
    differing=st.integers(0, 2),
)


@given(FACTS, st.integers(0, 4000), st.sampled_from([*DATASETS.values(), SHORT, METRICS_SHORT]))
def test_a_chunk_goes_only_if_everything_is_proven(facts: Facts, age: int, dataset: Any) -> None:
    start = day_start((NOW - age * DAY).date())
    chunk = Chunk("s.c", start.date(), True, 2, 1, start, start + DAY, 1)
    verdict = judge(dataset, chunk, NOW.date(), facts)
    proven = replace(facts, covered=None) == Facts() and (facts.covered or not dataset.drop_needs_backup)
    old = dataset.drop_after is not None and timedelta(days=age) > dataset.drop_after
    assert verdict.goes == (proven and old)
    assert verdict.reason
