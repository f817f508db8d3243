"""Aggregates equal raw rows after a refresh, late and corrected rows included; invariant 6 of docs/invariants.md."""

from datetime import datetime, timedelta

import pytest
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from trading_data.archive.aggregates import refresh as refresh_module
from trading_data.archive.aggregates.compare import differences
from trading_data.archive.aggregates.refresh import days_to_refresh, merge, refresh, window
from trading_data.archive.chunks import chunks, compress
from trading_data.datasets import DATASETS, METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Aggregate
from trading_data.errors import Refused
from trading_data.times import DAY, day_start
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

START = day_start(MOMENT.date())


def wrong(rig: Rig, start: datetime = START) -> list[str]:
    return [
        line
        for dataset in DATASETS.values()
        for aggregate in dataset.aggregates
        for line in differences(rig.archive, dataset, aggregate, start, START + DAY)
    ]


def test_every_aggregate_equals_raw(rig: Rig) -> None:
    rig.store.record_prices(
        [bar(symbol, minute, close=10 + minute % 7 / 4) for minute in range(130) for symbol in "AB"]
    )
    rig.store.record_trades([fill(f"o{minute}", f"e{minute}", minute) for minute in range(30)])
    rig.store.record_metrics([measurement("m", minute, value=minute / 3) for minute in range(90)])
    for dataset in DATASETS.values():
        rig.snapshot(dataset)
        rig.load(dataset)
    assert wrong(rig)  # nothing is refreshed yet, so the comparison has to see it
    for dataset in DATASETS.values():
        rig.refresh(dataset)
    assert wrong(rig) == []
    assert days_to_refresh(rig.archive) == {}
    assert rig.query("select count(*) from price_5m") == [(52,)]


def test_late_and_corrected_rows_in_a_compressed_chunk(rig: Rig) -> None:
    old = MOMENT - timedelta(days=100)
    rig.store.record_prices([bar("A", timestamp=old + timedelta(minutes=minute)) for minute in range(120)])
    rig.archive_all(PRICE)
    (chunk,) = chunks(rig.archive, PRICE)
    compress(rig.archive, chunk)
    assert chunks(rig.archive, PRICE)[0].compressed
    rig.store.record_prices([bar("A", timestamp=old, close=9.5), bar("B", timestamp=old + timedelta(minutes=7))])
    rig.snapshot(PRICE)
    (loaded,) = rig.load(PRICE)
    assert (loaded.inserted, loaded.replaced) == (1, 1)
    assert days_to_refresh(rig.archive) == {name: [old.date()] for name in ("price_5m", "price_1h", "price_1d")}
    done = refresh(rig.archive, PRICE, PRICE.aggregates[0])
    assert done.windows == {old.date(): [(old, old + timedelta(minutes=10))]}
    rig.refresh(PRICE)
    assert wrong(rig, day_start(old.date())) == []
    compress(rig.archive, chunks(rig.archive, PRICE)[0])


def test_a_coarse_refresh_brings_the_finer_ones_along(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(10)])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    refresh(rig.archive, PRICE, PRICE.aggregates[2])
    assert days_to_refresh(rig.archive) == {}
    assert wrong(rig) == []


def test_only_the_days_asked_for(rig: Rig) -> None:
    rig.store.record_prices([bar("A"), bar("A", timestamp=MOMENT - 3 * DAY)])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    refresh(rig.archive, PRICE, PRICE.aggregates[2], [MOMENT.date()])
    assert days_to_refresh(rig.archive)["price_1d"] == [(MOMENT - 3 * DAY).date()]
    assert rig.query("select count(*) from price_1d") == [(1,)]


def test_a_range_whose_chunk_was_dropped_is_refused_and_the_aggregate_stays(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(10)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 3, close=9.25)])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    rig.query("select drop_chunks('price_data', older_than => %s)", START + DAY)
    before = rig.query("select * from price_5m order by bucket")
    with pytest.raises(Refused, match="no longer has a chunk of that day"):
        rig.refresh(PRICE)
    assert rig.query("select * from price_5m order by bucket") == before


def test_a_day_without_its_chunk_does_not_keep_another_from_being_refreshed(rig: Rig) -> None:
    gone = MOMENT - 3 * DAY
    rig.store.record_prices([bar("A"), bar("A", timestamp=gone)])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    rig.query("select drop_chunks('price_data', older_than => %s)", START)
    with pytest.raises(Refused, match=f"price_1d, price_1h, price_5m could not be refreshed for {gone.date()}"):
        refresh(rig.archive, PRICE, PRICE.aggregates[2])
    assert days_to_refresh(rig.archive) == {name: [gone.date()] for name in ("price_5m", "price_1h", "price_1d")}
    assert wrong(rig) == []


def test_a_chunk_that_is_no_day_long_is_found_too(rig: Rig) -> None:
    rig.query("select set_chunk_time_interval('trade_data', interval '7 days') is null")
    try:
        rig.store.record_trades([fill("o1", "e1")])
        rig.archive_all(TRADE)
    finally:
        rig.query("select set_chunk_time_interval('trade_data', interval '1 day') is null")
    assert days_to_refresh(rig.archive) == {}
    assert wrong(rig) == []


def test_a_bucket_that_only_one_side_has_is_a_difference(rig: Rig) -> None:
    rig.store.record_prices([bar("A")])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    assert ["has None, raw rows give (" in line for line in wrong(rig)] == [True] * 3
    rig.refresh(PRICE)
    assert wrong(rig) == []
    rig.query("delete from price_data returning symbol")
    assert [line.endswith("raw rows give None") for line in wrong(rig)] == [True] * 3


def test_a_load_in_the_middle_of_a_refresh_stays_asked_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows loaded after the refresh of the finer aggregate and before that of the coarser one are in neither."""
    loads = iter([[bar("B", 30)], [bar("C", 30)]])

    def call(cursor: Cursor, aggregate: Aggregate, low: datetime, high: datetime) -> None:
        one_call(cursor, aggregate, low, high)
        rig.store.record_prices(next(loads, []))
        rig.snapshot(PRICE)
        rig.load(PRICE)

    one_call = refresh_module._call
    rig.store.record_prices([bar("A")])
    rig.snapshot(PRICE)
    rig.load(PRICE)
    with monkeypatch.context() as patch:
        patch.setattr(refresh_module, "_call", call)
        refresh(rig.archive, PRICE, PRICE.aggregates[2])
    refresh(rig.archive, PRICE, PRICE.aggregates[2])
    assert days_to_refresh(rig.archive) == {}
    assert wrong(rig) == []


def test_windows_are_whole_buckets_and_merged() -> None:
    five, hour = PRICE.aggregates[0], PRICE.aggregates[1]
    low = MOMENT + timedelta(minutes=7)
    assert window(five, low, low) == (MOMENT + timedelta(minutes=5), MOMENT + timedelta(minutes=10))
    assert window(five, MOMENT, MOMENT) == (MOMENT, MOMENT + timedelta(minutes=5))
    assert window(hour, low, low + timedelta(hours=1)) == (MOMENT, MOMENT + timedelta(hours=2))
    assert merge([(MOMENT, low), (low, END), (MOMENT, low)]) == [(MOMENT, END)]
    assert len(merge([(MOMENT, low), (END, END + DAY)])) == 2
    assert TRADE.aggregates[0].columns[:3] == ("symbol", "side", "bucket")
    assert METRICS.aggregates[0].columns[1] == "bucket"


END = MOMENT + timedelta(hours=3)
