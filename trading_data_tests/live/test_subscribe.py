"""Listening: typed updates, nothing else's, and an honest report of every gap; against a server of the test's own."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC

import pytest
import redis

from trading_data import LiveStore
from trading_data.errors import BadInput, LiveTierError
from trading_data.live import gap_recovery as missed_module
from trading_data.live import listener as listener_module
from trading_data.live import subscribe as subscribe_module
from trading_data.live.channels import KINDS, Update, wanted
from trading_data.live.connection import connect_for_archiver
from trading_data.live.gap_recovery import Missed
from trading_data.live.subscribe import Subscription
from trading_data.times import now
from trading_data_tests.live.servers import Node
from trading_data_tests.rig import bar, fill, measurement


def update(subscription: Subscription) -> Update:
    found = subscription.get(timeout=10)
    assert isinstance(found, Update), found
    return found


def gap(subscription: Subscription) -> Missed:
    """The next report of a gap; whatever comes before it is no concern here."""
    for _ in range(20):
        if isinstance(found := subscription.get(timeout=1), Missed):
            return found
    raise AssertionError("no gap was reported")


def until(get: Callable[[], object], enough: Callable[[object], bool]) -> object:
    """The first answer that is enough."""
    for _ in range(1000):
        if enough(found := get()):
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come")


def closes(updates: tuple[Update, ...]) -> list[tuple[str | None, str]]:
    return [(update.symbol, update.fields["close"]) for update in updates]


def cut(server: Node) -> None:
    """Cut every subscriber's connection."""
    assert server.client.client_kill_filter(_type="pubsub") > 0


def test_a_bar_arrives_with_what_it_is(store: LiveStore) -> None:
    before = now()
    with store.subscribe("AAPL") as subscription:
        store.record_prices([bar("MSFT"), bar("AAPL", 5, close=11.5), bar("AAPL", 1)])
        newest, late = update(subscription), update(subscription)
    assert (newest.channel, newest.kind, newest.symbol) == ("stocks:price:AAPL", "price", "AAPL")
    assert newest.fields["close"] == "11.5"
    assert newest.fields["timestamp"] == "2026-11-20T15:05:00+00:00"
    assert before <= newest.received_at <= now()
    assert newest.received_at.tzinfo is UTC
    assert (late.channel, late.kind, late.fields["timestamp"]) == (
        "journal:price:AAPL",
        "price_journal",
        "2026-11-20T15:01:00+00:00",
    )


def test_all_symbols_are_a_pattern_and_odd_names_are_their_own(store: LiveStore, server: Node) -> None:
    with store.subscribe(None) as every, store.subscribe(["A*", "a:b"]) as some:
        assert server.client.pubsub_numpat() == 2
        store.record_prices([bar(symbol) for symbol in ("AB", "A*", "a:b", "{c}", "é")])
        assert [update(every).symbol for _ in range(5)] == ["AB", "A*", "a:b", "{c}", "é"]
        assert [update(some).symbol for _ in range(2)] == ["A*", "a:b"]
        assert some.get(timeout=0) is None


def test_kinds_are_chosen_by_their_names(store: LiveStore, server: Node) -> None:
    kinds = ("signal", "active", "trade_journal", "performance", "system")
    with store.subscribe(["A*", "B", "[x]"], kinds) as subscription:
        for channel in (
            "signals:momentum:A*",
            "signals:momentum:AB",
            "signals:x:y:B",
            "signals:x:[x]",
            "positions:active:B",
        ):
            server.client.publish(channel, '{"direction": "long"}')
        store.record_prices([bar("B")])
        store.record_trades([fill("o1", symbol="C"), fill("o2", symbol="B")])
        store.record_metrics([measurement("latency")])
        server.client.publish("system:state", '{"feed": "up"}')
        found = [update(subscription) for _ in range(6)]
    assert [(one.kind, one.symbol) for one in found] == [
        ("signal", "A*"),
        ("signal", "[x]"),
        ("active", "B"),
        ("trade_journal", "B"),
        ("performance", None),
        ("system", None),
    ]
    assert found[3].fields["order_id"] == "o2"


def test_what_is_no_json_object_arrives_as_it_is(store: LiveStore, server: Node) -> None:
    with store.subscribe(None, "price") as subscription:
        for payload in (b"\xff\xfe", b"[1]", b'{"symbol": ["x"]}'):
            server.client.publish("stocks:price:X", payload)
        server.client.publish(b"stocks:price:\xff", b"{}")
        found = [update(subscription) for _ in range(4)]
    assert [dict(one.fields) for one in found] == [{}, {}, {"symbol": ["x"]}, {}]
    assert found[0].payload.encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert found[3].channel.encode("utf-8", "surrogateescape") == b"stocks:price:\xff"


def test_every_kind_but_the_cache_can_be_subscribed_to(store: LiveStore) -> None:
    with store.subscribe(["A"], KINDS) as subscription, store.subscribe(None, KINDS) as every:
        assert subscription.get(timeout=0) is every.get(timeout=0) is None


def test_what_makes_no_sense_is_refused(store: LiveStore, server: Node) -> None:
    with pytest.raises(BadInput, match="a subscription needs at least one symbol"):
        store.subscribe([])
    with pytest.raises(BadInput, match="unknown kind 'cache' in a subscription: choose from price, "):
        store.subscribe("A", ["price", "cache"])
    with pytest.raises(BadInput, match="symbol must be a non-empty string"):
        store.subscribe("")
    with (
        redis.Redis(port=server.port) as client,
        pytest.raises(BadInput, match=r"create the store with LiveStore\.from_url"),
    ):
        LiveStore(client).subscribe("A")


def test_a_server_that_never_was_there_is_an_error() -> None:
    with (
        closing(LiveStore.from_url("redis://127.0.0.1:1/0")) as away,
        pytest.raises(LiveTierError, match="does not answer"),
    ):
        away.subscribe("A")


def test_it_is_closed_from_another_thread(store: LiveStore, server: Node) -> None:
    subscription = store.subscribe("A")
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.extend(subscription), daemon=True)
    thread.start()
    store.record_prices([bar("A")])
    until(lambda: seen, bool)
    subscription.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(seen) == 1
    assert subscription.closed
    assert subscription.get() is None
    until(lambda: server.client.pubsub_channels(), lambda channels: channels == [])


def test_a_connection_that_was_cut_is_made_anew_and_the_gap_reported(store: LiveStore, server: Node) -> None:
    with store.subscribe(["A", "B"]) as subscription:
        store.record_prices([bar("A", close=9.5)])
        assert update(subscription).fields["close"] == "9.5"
        cut(server)
        store.record_prices([bar("A", 1, close=10.5), bar("C", 1), bar("B", 1), bar("A", 2, close=10.25)])
        missed = gap(subscription)
        assert missed.since < missed.until <= now()
        assert missed.symbols == ("A", "B")
        assert missed.complete
        # entries of different journals may have the same id, and then have no order among them
        assert [close for close in closes(missed.updates)[-3:] if close[0] == "A"] == [("A", "10.5"), ("A", "10.25")]
        assert ("B", "11.0") in closes(missed.updates)[-3:]
        assert {update.kind for update in missed.updates} == {"price_journal"}
        assert missed.updates[-1].fields.keys() == bar_fields(store)
        store.record_prices([bar("A", 3, close=10.75)])
        assert update(subscription).fields["close"] == "10.75"


def bar_fields(store: LiveStore) -> set[str]:
    """The fields of a publication."""
    with store.subscribe("Z") as subscription:
        store.record_prices([bar("Z")])
        return set(update(subscription).fields)


def test_a_server_that_was_killed_is_waited_for(store: LiveStore, server: Node) -> None:
    with store.subscribe(None) as subscription:
        server.kill()
        assert subscription.get(timeout=0.4) is None
        assert not subscription.closed
        server.start()
        store.record_prices([bar("A", close=10.5)])
        missed = gap(subscription)
        assert missed.symbols is None
        assert ("A", "10.5") in closes(missed.updates)
        store.record_prices([bar("A", 1, close=10.75)])
        assert update(subscription).fields["close"] == "10.75"
        assert subscription.get(timeout=0) is None


def test_a_server_that_says_nothing_any_more_is_held_for_lost(
    server: Node, store: LiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (subscribe_module, listener_module):
        monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    with store.subscribe("A", heartbeat=0.1) as subscription:
        for _ in range(5):
            assert subscription.get(timeout=0.1) is None  # it is quiet, and it answers
        server.send(signal.SIGSTOP)
        try:
            assert subscription.get(timeout=0.6) is None
        finally:
            server.send(signal.SIGCONT)
        store.record_prices([bar("A", close=10.5)])
        missed = gap(subscription)
        assert closes(missed.updates) == [("A", "10.5")]


def test_what_has_no_journal_is_only_known_as_it_stands(store: LiveStore, server: Node) -> None:
    with store.subscribe("A", ["sentiment", "watchlist", "signal", "price"]) as subscription:
        cut(server)
        for score in (1, 2):
            server.client.hset("stocks:sentiment:A", "score", score)
            server.client.hset("stocks:sentiment:B", "score", score)
            server.client.hset("signals:momentum:A", "strength", score)
        missed = gap(subscription)
    assert missed.unknown == ("sentiment", "watchlist", "signal")
    assert [(update.kind, update.symbol, dict(update.fields)) for update in missed.updates] == [
        ("sentiment", "A", {"score": "2"}),
        ("signal", "A", {"strength": "2"}),
    ]


def test_a_journal_that_was_trimmed_may_have_had_more(store: LiveStore, server: Node) -> None:
    with store.subscribe("A") as subscription:
        cut(server)
        store.record_prices([bar("A", minute) for minute in range(3)])
        server.client.xtrim("journal:price:A", maxlen=1, approximate=False)
        missed = gap(subscription)
    assert len(missed.updates) == 1
    assert missed.unknown == ("price", "price_journal")
    assert not missed.complete


def test_a_trimmed_journal_that_goes_back_far_enough_is_complete(store: LiveStore, server: Node) -> None:
    server.client.xadd("journal:price:A", {"close": "1"}, id="1-0")
    server.client.xadd("journal:price:A", {"close": "2"}, id="2-0")
    server.client.xtrim("journal:price:A", maxlen=1, approximate=False)
    with store.subscribe("A") as subscription:
        cut(server)
        store.record_prices([bar("A", close=10.5)])
        missed = gap(subscription)
    assert closes(missed.updates) == [("A", "10.5")]
    assert missed.complete


def test_a_long_gap_is_looked_up_so_far_and_no_further(
    store: LiveStore, server: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed_module, "MOST", 3)
    with store.subscribe("A") as subscription:
        cut(server)
        store.record_prices([bar("A", minute) for minute in range(5)])
        missed = gap(subscription)
    assert len(missed.updates) == 3
    assert not missed.complete


def test_journals_that_cannot_be_asked_leave_it_open(store: LiveStore) -> None:
    with closing(connect_for_archiver("redis://127.0.0.1:1/0")) as away:
        missed = missed_module.find_missed(away, wanted("A", ["price", "system"]), now(), now())
    assert (missed.updates, missed.unknown) == ((), ("price", "system"))


def test_an_archivers_client_finds_the_same(store: LiveStore, server: Node) -> None:
    store.record_prices([bar("A", close=10.5)])
    with closing(connect_for_archiver(server.url)) as client:
        found = missed_module.find_missed(client, wanted(None, "price"), now(), now())
    assert closes(found.updates) == [("A", "10.5")]


def test_what_came_in_an_attempt_that_failed_comes_after_the_gap_it_is_in(store: LiveStore) -> None:
    message = {"type": "message", "channel": b"stocks:price:A", "data": b"{}"}
    with store.subscribe("A") as subscription:
        subscription._drop()
        subscription._take(message)
        assert subscription._next() is None
        found = [gap(subscription), update(subscription)]
    assert [type(one) for one in found] == [Missed, Update]


def test_asyncio(store: LiveStore, server: Node) -> None:
    async def listen() -> list[object]:
        seen: list[object] = []
        async with store.subscribe_async(["A"]) as subscription:
            store.record_prices([bar("B"), bar("A", close=9.5)])
            async for one in subscription:
                seen.append(one)
                if len(seen) == 1:
                    cut(server)
                    store.record_prices([bar("A", 1, close=10.5)])
                elif len(seen) == 2:
                    store.record_prices([bar("A", 2, close=10.75)])
                else:
                    assert await subscription.get(timeout=0) is None
                    await subscription.close()
        assert await subscription.get() is None
        return seen

    first, missed, last = asyncio.run(listen())
    assert isinstance(first, Update)
    assert isinstance(missed, Missed)
    assert isinstance(last, Update)
    assert (first.fields["close"], last.fields["close"]) == ("9.5", "10.75")
    assert closes(missed.updates)[-1] == ("A", "10.5")
    until(lambda: server.client.pubsub_channels(), lambda channels: channels == [])


def test_asyncio_waits_for_a_server_that_was_killed(store: LiveStore, server: Node) -> None:
    async def listen() -> object:
        async with store.subscribe_async(None) as subscription:
            server.kill()
            assert await subscription.get(timeout=0.3) is None
            server.start()
            for _ in range(100):
                if found := await subscription.get(timeout=1):
                    return found
        return None

    assert isinstance(asyncio.run(listen()), Missed)


def test_asyncio_away_is_an_error_and_may_be_tried_again() -> None:
    async def listen(store: LiveStore) -> None:
        subscription = store.subscribe_async("A")
        for _ in range(2):
            with pytest.raises(LiveTierError, match="does not answer"):
                await subscription.get(timeout=0)
        await subscription.close()

    with closing(LiveStore.from_url("redis://127.0.0.1:1/0")) as away:
        asyncio.run(listen(away))


def test_many_channels_are_confirmed_before_it_returns(store: LiveStore, server: Node) -> None:
    symbols = [f"S{at}" for at in range(1200)]
    with store.subscribe(symbols) as subscription:
        assert len(server.client.pubsub_channels()) == 2400
        store.record_prices([bar("S1199")])
        assert update(subscription).symbol == "S1199"
