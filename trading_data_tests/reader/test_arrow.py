"""Answers as Arrow tables: declared types, the same rows, exact numbers."""

import json
from datetime import timedelta
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from trading_data.datasets import DATASETS, TRADE
from trading_data.errors import BadInput
from trading_data.reader.frames import arrow_schema
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

START, END = "2026-11-20", "2026-11-21"
TIME, EXACT = pa.timestamp("us", tz="UTC"), pa.decimal128(38, 18)


def types(table: pa.Table) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in table.schema}


def test_the_schema_is_declared(rig: Rig) -> None:
    text, number = pa.string(), pa.float64()
    assert types(rig.reader.prices(None, START, END, format="arrow")) == {
        "symbol": text,
        "timestamp": TIME,
        "open": number,
        "high": number,
        "low": number,
        "close": number,
        "volume": number,
        "source": text,
        "tier": text,
    }
    assert types(rig.reader.trades(None, START, END, "1d", format="arrow")) == {
        "symbol": text,
        "side": text,
        "bucket": TIME,
        "fills": pa.int64(),
        "quantity": EXACT,
        "notional": EXACT,
        "vwap": EXACT,
        "commission": EXACT,
        "tier": text,
    }
    assert types(rig.reader.metrics(None, START, END, "1h", format="arrow"))["samples"] == pa.int64()


def test_with_rows_in_every_tier_it_is_the_same_and_holds_the_same_as_pandas(rig: Rig) -> None:
    for minute in range(3):
        rig.store.record_prices([bar("A", minute)])
        rig.store.record_trades([fill(f"o{minute}", minute=minute)])
        rig.store.record_metrics([measurement("m", minute)])
        for dataset in DATASETS.values():
            if minute == 0:
                rig.archive_all(dataset)
            if minute == 1:
                rig.snapshot(dataset)
    for dataset in DATASETS.values():
        for interval in ("raw", *(aggregate.interval for aggregate in dataset.aggregates)):
            frame = rig.reader.read(dataset, None, START, END, interval)
            table = rig.reader.read(dataset, None, START, END, interval, format="arrow")
            assert table.schema.remove_metadata() == arrow_schema(dataset, dataset.aggregate(interval))
            assert json.loads(table.schema.metadata[b"missing"]) == []
            assert table.to_pylist() == frame.to_dict("records")
            assert len(table) == (3 if interval == "raw" else 1)
    (table,) = rig.reader.stream("trades", None, START, END, format="arrow")
    assert table.to_pylist() == rig.reader.trades(None, START, END).to_dict("records")
    newest = rig.reader.latest("A", format="arrow")
    assert newest.schema.remove_metadata() == arrow_schema(DATASETS["price"], None)


def test_exact_numbers_stay_exact_and_quotients_are_rounded(rig: Rig) -> None:
    small, large = Decimal("0.000000000000000001"), Decimal("12345678901234567890.123456789012345678")
    prices = [small, large, Decimal(2)]
    rig.store.record_trades([fill(f"o{at}", price=price, quantity=Decimal(3)) for at, price in enumerate(prices)])
    rig.store.record_trades([fill("o3", price=small, symbol="B"), fill("o4", price=small * 2, symbol="B")])
    for _ in range(2):
        assert rig.reader.trades("AAPL", START, END, format="arrow")["price"].to_pylist() == prices
        daily = rig.reader.trades(None, START, END, "1d")
        assert daily["notional"].tolist() == [Decimal("37037036703703703676.370370367037037037"), small * 30]
        assert daily["vwap"][1] == small * 3 / 2
        rounded = rig.reader.trades("B", START, END, "1d", format="arrow")["vwap"].to_pylist()
        assert rounded == [small * 2]
        rig.archive_all(TRADE)


def test_what_arrow_cannot_hold_is_an_error(rig: Rig) -> None:
    large = Decimal(10) ** 19
    rig.store.record_trades([fill(price=large, quantity=large)])
    with pytest.raises(BadInput, match=r'notional 1000.* has more digits .* ask for format="pandas"'):
        rig.reader.trades(None, START, END, "1d", format="arrow")
    assert rig.reader.trades(None, START, END, "1d")["notional"].tolist() == [large * large]


def test_exact_aggregates_are_the_same_before_and_after_they_are_archived(rig: Rig) -> None:
    """To the last digit, as the database would write them: sums, products and quotients of numbers of any size."""
    numbers = [Decimal(text) for text in ("1", "3", "7.000000000000000001", "0.1", "12345678901234567890.5", "9999")]
    fills = [
        fill(f"o{at}", minute=at, symbol=f"S{at % 11}", quantity=one, price=other, commission=other - one)
        for at, (one, other) in enumerate((number, other) for number in numbers for other in numbers)
    ]
    rig.store.record_trades(fills)
    live = rig.reader.trades(None, START, END, "1d")
    rig.archive_all(TRADE)
    archived = rig.reader.trades(None, START, END, "1d")
    assert archived["tier"].unique().tolist() == ["archive"]
    before, after = (frame.drop(columns="tier").astype(str) for frame in (live, archived))
    pd.testing.assert_frame_equal(before, after)
    assert MOMENT + timedelta(minutes=len(fills)) < pd.Timestamp(END, tz="UTC")
