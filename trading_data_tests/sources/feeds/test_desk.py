"""The toy strategy: every key of the live tier has content, and positions are the sums of their fills, also in the archive."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from itertools import islice
from threading import Event

import pytest

from trading_data.analytics.fifo import match
from trading_data.datasets import DATASETS, TRADE
from trading_data.live.journal import text
from trading_data.live.keys import KEYS
from trading_data.live.records import Position
from trading_data.live.store import LiveStore
from trading_data.sources.feeds import Desk, FeedCounts, Minute, open_feed, pump
from trading_data.sources.feeds.toy import STRATEGY
from trading_data.times import DAY as ONE_DAY
from trading_data.times import day_start, now
from trading_data_tests.rig import Rig
from trading_data_tests.sources.feeds.servers import Reader, Server

DAY = now().date() - ONE_DAY


def send(store: LiveStore, minutes: int, *, symbols: int = 20, skip: int = 0, day: date = DAY) -> FeedCounts:
    """Send some minutes of a day, with the strategy, as fast as it goes."""
    counts, said = FeedCounts(), list[str]()
    desk = Desk(store, 7, counts, said.append)
    some: list[Minute] = list(islice(open_feed("simulated", symbols=symbols, pace=None, day=day), skip, skip + minutes))
    pump(store, some, pace=None, stop=Event(), report=said.append, counts=counts, then=desk.minute)
    desk.close()
    assert said == []
    return counts


def filled(entries: list[dict[str, str]]) -> dict[str, Decimal]:
    """What the fills add up to, by symbol, where it is not nothing; each execution once."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in {entry["execution_id"]: entry for entry in entries}.values():
        sums[entry["symbol"]] += Decimal(entry["quantity"]) * (1 if entry["side"] == "buy" else -1)
    return {symbol: units for symbol, units in sums.items() if units}


def held(store: LiveStore) -> dict[str, Decimal]:
    found = store.active_positions().whole()
    return {symbol: position.quantity * (1 if position.side == "long" else -1) for symbol, position in found.items()}


@pytest.mark.parametrize("symbols", [3, 60])
def test_after_one_minute_every_key_is_there(store: LiveStore, symbols: int) -> None:
    send(store, 1, symbols=symbols)
    names = set(map(text, store.client.scan_iter("*")))
    empty = [key.pattern for key in KEYS.values() if not any(name.startswith(key.prefix) for name in names)]
    assert empty == []
    assert store.candidates()
    assert store.watchlist() >= set(held(store))
    assert set(store.system_state()) >= {"feed", STRATEGY}
    assert store.performance().whole()[f"strategy.{STRATEGY}.held"] == len(held(store))


def test_positions_open_and_close_and_are_the_sums_of_their_fills(store: LiveStore, reader: Reader) -> None:
    seen: set[str] = set()
    for start in range(0, 60, 15):  # as a feed that is stopped and started again
        counts = send(store, 15, skip=start)
        reader.go_on()
        assert held(store) == filled(reader.of(TRADE)) != {}
        assert counts.accepted["trade"] > 0
        seen |= set(held(store))
    fills = reader.of(TRADE)
    assert len({fill["execution_id"] for fill in fills}) == len(fills) > 40
    assert {fill["side"] for fill in fills} == {"buy", "sell"}
    assert len(seen) > len(held(store))  # some were closed
    assert any(Decimal(fill["quantity"]) == 50 for fill in fills)  # and some halved before
    assert not set(held(store)) & set(store.monitored_positions().whole())


def test_a_day_that_is_sent_twice_is_traded_once(store: LiveStore, reader: Reader) -> None:
    send(store, 20)
    before = held(store)
    assert send(store, 20).accepted["trade"] == 0
    reader.go_on()
    assert held(store) == before == filled(reader.of(TRADE))


def test_one_seed_trades_alike(server: Server, store: LiveStore, reader: Reader) -> None:
    send(store, 30)
    reader.go_on()
    first = reader.of(TRADE)
    store.client.flushall()
    send(store, 30)
    again = Reader(server)
    again.go_on()
    assert again.of(TRADE) == first
    again.client.close()


def test_positions_of_others_are_left_alone(store: LiveStore, reader: Reader) -> None:
    send(store, 1)
    mine = Position(min(store.candidates()), Decimal(5), Decimal(10), strategy="mine")
    store.set_active_positions(mine)
    send(store, 40, skip=1)
    assert store.active_positions(mine.symbol) == mine
    reader.go_on()
    assert mine.symbol not in filled(reader.of(TRADE))


def test_a_live_tier_that_refuses_the_strategy_goes_on_with_the_bars(store: LiveStore) -> None:
    store.client.set(KEYS["context"].pattern, "of another program")
    store.client.set(KEYS["watchlist"].pattern, "of another program")
    said: list[str] = []
    counts = FeedCounts()
    desk = Desk(store, 7, counts, said.append)
    minutes = islice(open_feed("simulated", symbols=5, pace=None, day=DAY), 3)
    pump(store, minutes, pace=None, stop=Event(), report=said.append, counts=counts, then=desk.minute)
    assert counts.accepted["price"] >= 10
    assert len(said) == 1
    assert f"the strategy {STRATEGY} waits: " in said[0]
    assert "watchlist:current" in said[0]


def test_archived_fills_are_the_positions(rig: Rig) -> None:
    send(rig.store, 45)
    for dataset in DATASETS.values():
        rig.archive_all(dataset)
        assert rig.store.client.xlen(dataset.journal) <= 1 if dataset is not DATASETS["price"] else True
    trades = rig.reader.trades(None, day_start(DAY), day_start(DAY) + ONE_DAY)
    assert set(trades["tier"]) == {"archive"}
    books = match(trades)
    still_open = {
        symbol: sum((lot.sign * lot.quantity for lot in book.lots), Decimal(0))
        for (strategy, symbol), book in books.items()
        if strategy == STRATEGY and book.lots
    }
    assert still_open == held(rig.store) != {}
    assert sum(len(book.trips) for book in books.values()) > 10
