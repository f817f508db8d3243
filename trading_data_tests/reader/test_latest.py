"""The newest bar of each symbol, wherever it is."""

from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pytest

from trading_data import MarketData
from trading_data.archive.trim import trim_drained
from trading_data.datasets import PRICE
from trading_data_tests.rig import MOMENT, Rig, bar


def emergency(rig: Rig) -> None:
    """The newest row is in the intake alone: its journal was trimmed because memory ran out."""
    rig.snapshot(PRICE)
    assert trim_drained(rig.client, rig.intake, PRICE).removed == 1


PLACES: dict[str, Callable[[Rig], object]] = {
    "journal": lambda rig: None,
    "journal and intake": lambda rig: rig.snapshot(PRICE),
    "intake": emergency,
    "archive": lambda rig: rig.archive_all(PRICE),
}


def shown(frame: pd.DataFrame) -> list[tuple[str, float, str]]:
    return list(zip(frame["symbol"], frame["close"], frame["tier"], strict=True))


def test_live_or_archived(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0), bar("B", 1)])
    rig.archive_all(PRICE)
    rig.client.delete("stocks:price:A")
    assert shown(rig.reader.latest(["B", "A", "none"])) == [("A", 11.0, "archive"), ("B", 11.0, "live")]
    assert rig.reader.latest([]).columns.tolist() == [*PRICE.names, "tier"]
    assert len(rig.reader.latest("B")) == 1


@pytest.mark.parametrize("place", PLACES)
def test_the_newest_of_all_tiers_when_the_latest_value_has_expired(rig: Rig, place: str) -> None:
    rig.store.record_prices([bar("A", 0, close=9.5), bar("B", 5)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 1, close=10.5)])
    PLACES[place](rig)
    rig.client.delete("stocks:price:A")
    tier = "archive" if place == "archive" else "live"
    assert shown(rig.reader.latest(["A", "B"])) == [("A", 10.5, tier), ("B", 11.0, "live")]


def test_newest_is_by_the_bar_and_not_by_its_coming(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 5, close=9.5), bar("B", 5, close=9.5)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 1, close=10.5), bar("B", 5, close=10.5)])
    rig.client.delete("stocks:price:A", "stocks:price:B")
    assert shown(rig.reader.latest(["A", "B"])) == [("A", 9.5, "archive"), ("B", 10.5, "live")]


def test_a_malformed_latest_value_is_none(rig: Rig) -> None:
    rig.store.record_prices([bar(symbol, 0) for symbol in ("A", "B", "C", "D")])
    rig.archive_all(PRICE)
    rig.client.hset("stocks:price:A", "close", "soon")
    rig.client.hdel("stocks:price:B", "close")
    rig.client.delete("stocks:price:C")
    rig.client.rpush("stocks:price:C", "x")
    tiers = [(symbol, tier) for symbol, _, tier in shown(rig.reader.latest(["A", "B", "C", "D"]))]
    assert tiers == [("A", "archive"), ("B", "archive"), ("C", "archive"), ("D", "live")]


def test_the_archive_is_asked_only_for_symbols_without_a_latest_value(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.store.record_prices([bar("A", 0), bar("B", 0)])
    monkeypatch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres@127.0.0.1:1/x")
    reader = MarketData.from_env()
    frame = reader.latest(["A", "B"])
    assert (len(frame), frame.attrs["missing"]) == (2, ())
    rig.client.delete("stocks:price:A")
    frame = reader.latest(["A", "B"], partial=True)
    assert shown(frame) == [("A", 11.0, "live"), ("B", 11.0, "live")]
    assert [text.partition(":")[0] for text in frame.attrs["missing"]] == ["archive"]
    reader.close()


def test_of_two_versions_in_flight_the_last_one(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 1, close=9.5)])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", 1, close=10.0), bar("A", 0, close=10.5)])
    rig.client.delete("stocks:price:A")
    frame = rig.reader.latest("A", format="arrow")
    assert frame["close"].to_pylist() == [10.0]
    assert frame["timestamp"][0].as_py() - timedelta(minutes=1) == bar().timestamp


def test_the_newest_row_is_found_however_old_it_is(rig: Rig) -> None:
    ages = {"A": 0, "B": 3, "C": 40}
    moments = {symbol: MOMENT - timedelta(days=days) for symbol, days in ages.items()}
    rig.store.record_prices([bar(symbol, timestamp=moment) for symbol, moment in moments.items()])
    rig.store.record_prices([bar("B", timestamp=moments["B"] - timedelta(days=1))])
    rig.archive_all(PRICE)
    rig.client.flushdb()
    frame = rig.reader.latest(["A", "B", "C", "D"])
    assert dict(zip(frame["symbol"], frame["timestamp"], strict=True)) == moments
