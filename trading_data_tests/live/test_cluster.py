"""The whole path over a real Redis Cluster of three: nothing takes for granted that two keys are on one server."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
import redis

from trading_data import LiveStore
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import LiveTierError
from trading_data.intake import lease as lease_module
from trading_data.intake.accounted import noted
from trading_data.intake.poll_latest import poll_latest
from trading_data.live import journal
from trading_data.live.cache import Counts
from trading_data.live.channels import Update
from trading_data.live.connection import address, connect, read_memory
from trading_data.live.gap_recovery import Missed
from trading_data.live.reads import WrongType, wrong_types
from trading_data.live.subscribe import Subscription
from trading_data.operations.status import gather
from trading_data_tests.live.servers import Cluster, folder, wait
from trading_data_tests.rig import EARLIEST, Rig, bar, fill, measurement

SYMBOLS = [*(f"S{at:03}" for at in range(120)), "{S}:x", "a{b", "é"]


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    with folder() as path, closing(Cluster(path)) as cluster:
        yield cluster


@pytest.fixture
def cluster(three: Cluster) -> Cluster:
    """Empty."""
    for node in three.nodes:
        node.client.flushall()
    return three


@pytest.fixture
def spread(rig: Rig, cluster: Cluster) -> Iterator[Rig]:
    """Both tiers, the live one a cluster."""
    made = Rig(replace(rig.settings, redis_url=cluster.url))
    yield made
    made.close()
    made.client.close()


@pytest.fixture
def store(cluster: Cluster) -> Iterator[LiveStore]:
    with closing(LiveStore.from_url(cluster.url)) as made:
        yield made


def on_each(cluster: Cluster) -> list[int]:
    """How many keys each node has."""
    return [node.client.dbsize() for node in cluster.nodes]


def write(rig: Rig) -> None:
    """Bars of many symbols with a correction and a late one, fills, measurements, broken entries and a stranger's value."""
    rig.store.record_prices([bar(symbol, minute) for minute in range(3) for symbol in SYMBOLS])
    rig.store.record_prices([bar("S000", 1, close=10.5), bar("S001", -5)])
    rig.store.record_trades([fill(f"o{at}", f"e{at}", symbol=SYMBOLS[at]) for at in range(40)])
    rig.store.record_metrics([measurement(f"m{at % 3}", at, value=at / 3) for at in range(40)])
    rig.entry("journal:price:S002", {"timestamp": "soon"})
    fields: dict[Any, Any] = {name: str(getattr(bar(), name)) for name in PRICE.fields}
    rig.client.hset("stocks:price:OLD", mapping={**fields, "timestamp": bar().timestamp.isoformat()})


def frames(rig: Rig) -> list[pd.DataFrame]:
    """Everything, as the reader sees it, without the tier."""
    read = (rig.reader.prices, rig.reader.trades, rig.reader.metrics)
    return [one(None, "2026-11-20", "2026-11-21").drop(columns="tier") for one in read]


def archive(rig: Rig) -> list[int]:
    """Snapshot, sample, load and trim all datasets; how many entries were trimmed."""
    removed = []
    for dataset in (PRICE, TRADE, METRICS):
        rig.snapshot(dataset, batch_entries=150)
        poll_latest(rig.client, rig.intake, dataset, earliest=EARLIEST)
        rig.load(dataset)
        removed.append(rig.trim(dataset).removed)
    return removed


def test_nothing_is_asked_before_the_first_command(cluster: Cluster) -> None:
    before = [node.client.info("stats")["total_connections_received"] for node in cluster.nodes]
    with closing(connect(cluster.url)) as client, closing(connect("redis+cluster://127.0.0.1:1")) as away:
        assert address(client) == cluster.url
        assert [node.client.info("stats")["total_connections_received"] for node in cluster.nodes] == before
        with pytest.raises(LiveTierError, match=r"redis\+cluster://127\.0\.0\.1:1 does not answer"):
            LiveStore(away).record_prices([bar()])
        client.set("a", 1)
        client.close()
        assert client.get("a") == b"1"


def test_the_whole_path_is_exact(spread: Rig, cluster: Cluster) -> None:
    write(spread)
    assert min(on_each(cluster)) > 50
    live = frames(spread)
    assert [len(one) for one in live] == [3 * len(SYMBOLS) + 1, 40, 40]
    assert live[0].query("symbol == 'S000'")["close"].tolist() == [11.0, 10.5, 11.0]
    assert archive(spread) == [2 * len(SYMBOLS) + 3, 39, 39]  # the last entry of each journal stays
    archived = frames(spread)
    assert archived[0].query("symbol == 'OLD'")["source"].tolist() == ["test"]
    assert spread.query("select symbol from price_data where symbol = 'OLD'") == [("OLD",)]
    archived[0] = archived[0].query("symbol != 'OLD'").reset_index(drop=True)
    for before, after in zip(live, archived, strict=True):
        pd.testing.assert_frame_equal(before, after)
    assert spread.query("select journal, kind from archive_quarantine") == [("journal:price:S002", "missing field")]
    for dataset in (TRADE, METRICS):
        assert spread.account(dataset).accepted == spread.accepted(dataset) == 40
    assert spread.account(PRICE).accepted == spread.accepted(PRICE) + 1
    assert len(noted(spread.client, PRICE)) == len(SYMBOLS)
    assert archive(spread) == [0, 0, 0]
    assert len(spread.reader.latest(SYMBOLS)) == len(SYMBOLS)
    assert gather(spread.client, spread.archive, spread.intake).live == cluster.url


def test_the_lease_is_one_for_the_whole_cluster(spread: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "PATIENCE_SECONDS", 0.3)
    spread.store.record_metrics([measurement()])
    with lease_module.lease(spread.client, METRICS) as keep:
        with pytest.raises(LiveTierError, match="another process has been draining the metrics journals"):
            spread.snapshot(METRICS)
        keep()
    assert [one.rows for one in spread.snapshot(METRICS)] == [1]


def test_keys_are_looked_for_on_every_node(store: LiveStore, cluster: Cluster) -> None:
    store.record_prices([bar(symbol) for symbol in SYMBOLS])
    client = store.client
    assert journal.find_keys(client, "journal:price:", "stream") == sorted(
        f"journal:price:{symbol}" for symbol in SYMBOLS
    )
    assert len(journal.find_keys(client, "stocks:price:S", "hash")) == 120
    client.set("journal:price:T1", "x")
    client.rpush("stocks:price:T2", "x")
    assert wrong_types(client) == [
        WrongType("stocks:price:T2", "hash", "list"),
        WrongType("journal:price:T1", "stream", "string"),
    ]
    assert abs(journal.server_ms(client) - round(pd.Timestamp.now("UTC").timestamp() * 1000)) < 60_000


def test_memory_is_that_of_the_fullest_node(store: LiveStore, cluster: Cluster) -> None:
    limits = (1 << 30, 1 << 25, 1 << 30)
    try:
        for node, limit in zip(cluster.nodes, limits, strict=True):
            node.client.config_set("maxmemory", limit)
        memory = read_memory(store.client, 5.0)
        assert (memory.at, memory.limit) == (5.0, 1 << 25)
        assert memory.used > 0
    finally:
        for node in cluster.nodes:
            node.client.config_set("maxmemory", 0)


def test_one_full_node_refuses_its_own_and_takes_the_others(store: LiveStore, cluster: Cluster) -> None:
    bars = [bar(symbol) for symbol in SYMBOLS]
    cluster.nodes[2].client.config_set("maxmemory", 1)
    try:
        with pytest.raises(LiveTierError, match="full and refused the write") as caught:
            store.record_prices(bars)
    finally:
        cluster.nodes[2].client.config_set("maxmemory", 0)
    refused = set(getattr(caught.value, "refused"))  # noqa: B009 - of the subclass
    assert 0 < len(refused) < len(bars)
    written = journal.find_keys(store.client, "journal:price:", "stream")
    assert {bars[at].symbol for at in refused} == set(SYMBOLS) - {
        name.removeprefix("journal:price:") for name in written
    }


def heard(subscription: Subscription, close: str, count: int) -> list[str]:
    """The symbols of so many updates with that price; publications of tests before this one may still be on their way."""
    symbols: list[str] = []
    while len(symbols) < count:
        one = subscription.get(timeout=10)
        assert isinstance(one, Update), one
        if one.fields["close"] == close:
            symbols.append(str(one.symbol))
    return sorted(symbols)


def test_subscriptions_hear_every_node_and_outlive_one(store: LiveStore, cluster: Cluster) -> None:
    with store.subscribe(None) as every, store.subscribe(SYMBOLS[:50]) as some:
        store.record_prices([bar(symbol, close=9.5) for symbol in SYMBOLS])
        assert heard(every, "9.5", len(SYMBOLS)) == sorted(SYMBOLS)
        assert heard(some, "9.5", 50) == SYMBOLS[:50]
        for node in cluster.nodes:
            node.client.client_kill_filter(_type="pubsub")
        store.record_prices([bar(symbol, 1, close=10.5) for symbol in SYMBOLS])
        for subscription, symbols in ((every, SYMBOLS), (some, SYMBOLS[:50])):
            missed = subscription.get(timeout=10)
            assert isinstance(missed, Missed)
            assert missed.complete
            found = [update.symbol for update in missed.updates if update.fields["close"] == "10.5"]
            assert sorted(str(one) for one in found) == sorted(symbols)


def test_results_are_cached(store: LiveStore, cluster: Cluster) -> None:
    calls: list[int] = []

    @store.cached("twice", timedelta(minutes=1))
    def twice(number: int) -> int:
        calls.append(number)
        return 2 * number

    numbers = list(range(30))
    assert [twice(number) for number in numbers] == [twice(number) for number in numbers]
    assert calls == numbers
    assert twice.counts == Counts(hits=30, misses=30)
    assert min(on_each(cluster)) > 0
    assert all(twice.invalidate(number) for number in numbers)
    assert on_each(cluster) == [0, 0, 0]


def test_one_computation_for_many(store: LiveStore, cluster: Cluster) -> None:
    begun, go_on = threading.Event(), threading.Event()
    got: list[str] = []

    @store.cached("slow", timedelta(minutes=1))
    def slow() -> str:
        begun.set()
        go_on.wait(10)
        return threading.current_thread().name

    threads = [threading.Thread(target=lambda: got.append(slow()), name=f"t{at}", daemon=True) for at in range(5)]
    threads[0].start()
    begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert got == ["t0"] * 5


def test_a_node_that_died_is_one_clear_error_until_it_is_back(spread: Rig, cluster: Cluster) -> None:
    spread.store.record_prices([bar(symbol) for symbol in SYMBOLS])
    asked = (
        lambda: spread.store.record_prices([bar(symbol, 1) for symbol in SYMBOLS]),
        lambda: journal.find_keys(spread.client, "journal:price:", "stream"),
        lambda: spread.snapshot(PRICE),
        lambda: read_memory(spread.client, 0.0),
    )
    try:
        for dead in ([cluster.nodes[1]], cluster.nodes):
            for node in dead:
                node.kill()
            for ask in asked:
                with pytest.raises(
                    LiveTierError, match=r"redis\+cluster://127\.0\.0\.1:\d+,127\.0\.0\.1:\d+ does not answer"
                ):
                    ask()
    finally:
        for node in cluster.nodes:
            if node.process is None:
                node.start()
        wait(cluster.ready)
    spread.store.record_prices([bar(symbol, 1) for symbol in SYMBOLS])
    spread.archive_all(PRICE)
    assert spread.query("select count(*) from price_data") == [(2 * len(SYMBOLS),)]
    assert spread.account(PRICE).accepted == spread.accepted(PRICE)


def test_an_entry_comes_as_it_is_from_nodes_met_later_too(spread: Rig, cluster: Cluster) -> None:
    """The archiver's client reads entries raw, whichever node they are on and whenever that was found."""
    spread.store.record_prices([bar(symbol) for symbol in SYMBOLS])
    client: Any = spread.client
    client.time()
    for node in list(client.nodes_manager.nodes_cache.values()):
        node.redis_connection = None
    client.nodes_manager.initialize()
    entries = journal.newest_entries(spread.client, [f"journal:price:{symbol}" for symbol in SYMBOLS], 1)
    assert {type(entry[0][1]) for entry in entries.values()} == {list}
    assert isinstance(client, redis.RedisCluster)
