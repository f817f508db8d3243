"""Setters and getters of every kind of key: whole replacement, publications, a full server, expiry."""

from decimal import Decimal
from typing import Any

import pytest

from trading_data import Indicators, LiveStore
from trading_data.errors import BadInput, LiveTierError, LiveTierFull
from trading_data.live.writes import WRITES_PER_TRANSACTION
from trading_data_tests.live.servers import Node
from trading_data_tests.live.state.examples import Tier, context, indicators, position, sentiment, signal, write_all
from trading_data_tests.rig import MOMENT, bar


def test_a_setter_replaces_the_hash_whole_and_its_lifetime_begins_anew(tier: Tier) -> None:
    tier.store.set_indicators(indicators(rsi=1.0, macd=2.0))
    tier.client.persist("stocks:indicators:AAPL")
    tier.store.set_indicators(Indicators("AAPL", MOMENT, {"rsi": 3.0}))
    assert set(tier.client.hgetall("stocks:indicators:AAPL")) == {b"rsi", b"timestamp"}
    assert 0 < tier.client.ttl("stocks:indicators:AAPL") <= 86400
    tier.store.set_active_positions(position(stop=Decimal(9)))
    tier.client.expire("positions:active:AAPL", 60)
    tier.store.set_active_positions(position())
    assert tier.store.active_positions("AAPL") == position()
    assert tier.client.ttl("positions:active:AAPL") == -1


def test_a_reader_never_sees_half_of_a_value(tier: Tier) -> None:
    """The server's own log of commands: from the deletion to the new fields no other command comes between."""
    tier.store.watchlist()
    seen: list[str] = []
    with tier.client.monitor() as monitor:
        tier.store.set_indicators([indicators("A"), indicators("B")])
        tier.client.echo("over")
        for command in monitor.listen():
            if command["db"] == tier.client.get_connection_kwargs()["db"]:
                seen.append(command["command"].split()[0].upper())
            if "ECHO" in seen:
                break
    assert seen[seen.index("MULTI") :] == ["MULTI", *["DEL", "HSET", "EXPIRE", "PUBLISH"] * 2, "EXEC", "ECHO"]


def test_several_and_all(tier: Tier) -> None:
    many = [indicators(f"S{at:04}") for at in range(WRITES_PER_TRANSACTION * 2 + 1)]
    tier.store.set_indicators(one for one in many)
    assert tier.store.indicators() == {one.symbol: one for one in many}
    assert list(tier.store.indicators(["S0002", "no", "S0001", "S0002"])) == ["S0002", "S0001"]
    assert tier.store.indicators("no") is None
    assert tier.store.indicators([]) == {}
    tier.store.set_indicators([])


def test_each_kind_of_key_has_its_getter(either: Tier) -> None:
    store = either.store
    write_all(store)
    assert store.latest_bars() == {"AAPL": bar()}
    assert store.indicators("AAPL") == indicators()
    assert store.sentiment("AAPL") == sentiment()
    assert store.market_context() == context()
    assert store.watchlist() == {"AAPL"}
    assert store.candidates() == {"AAPL": 1.5}
    assert store.active_positions("AAPL") == store.monitored_positions("AAPL") == position()
    assert store.signals("momentum", "AAPL") == signal()
    assert store.system_state() == {"feed": "running"}
    assert store.performance() == {"latency": 1.5}
    assert store.remove_monitored_positions(["AAPL", "no"]) == 1
    assert store.remove_signals("momentum", "AAPL") == 1
    assert store.monitored_positions() == {}
    assert store.signals("momentum") == {}


def test_nothing_there_is_no_error(tier: Tier) -> None:
    store = tier.store
    for one in (store.market_context(), store.latest_bars("AAPL"), store.signals("momentum", "AAPL")):
        assert one is None
    for all_ in (
        store.watchlist(),
        store.candidates(),
        store.system_state(),
        store.performance(),
        store.active_positions(),
    ):
        assert not all_


def test_the_watchlist(tier: Tier) -> None:
    store = tier.store
    store.set_watchlist([f"S{at}" for at in range(2500)])
    assert len(store.watchlist()) == 2500
    store.set_watchlist("AAPL")
    assert store.add_to_watchlist(["AAPL", "MSFT"]) == 1
    assert store.remove_from_watchlist(["AAPL", "no"]) == 1
    assert store.watchlist() == {"MSFT"}
    store.set_watchlist([])
    assert not tier.client.exists("watchlist:current")


def test_candidates_come_highest_first(tier: Tier) -> None:
    store = tier.store
    store.set_candidates({"OLD": 9.0})
    store.set_candidates({"A": 1.0, "B": 3.5, "C": -2.0})
    store.rank_candidates({"D": 3.0, "A": 4.0})
    assert list(store.candidates().items()) == [("A", 4.0), ("B", 3.5), ("D", 3.0), ("C", -2.0)]
    assert list(store.candidates(2)) == ["A", "B"]
    for top in (0, -1):
        with pytest.raises(BadInput, match="top must be 1 or more"):
            store.candidates(top)
    with pytest.raises(BadInput, match="score of 'A' must be a finite number"):
        store.rank_candidates({"A": float("nan")})


def test_components_own_their_states(tier: Tier) -> None:
    tier.store.set_system_state({"feed": "running", "broker": "down"})
    tier.store.set_system_state({"broker": None, "risk": "halted"})
    assert tier.store.system_state() == {"feed": "running", "risk": "halted"}


@pytest.mark.parametrize(
    ("change", "channel", "published"),
    [
        (lambda store: store.set_watchlist(["A", "B"]), "watchlist:current", {"set": ["A", "B"]}),
        (lambda store: store.remove_from_watchlist("A"), "watchlist:current", {"removed": ["A"]}),
        (lambda store: store.rank_candidates({"A": 1e-7}), "candidates:ranked", {"ranked": {"A": "0.0000001"}}),
        (lambda store: store.set_system_state({"feed": None}), "system:state", {"feed": None}),
        (
            lambda store: store.set_active_positions(position(extra={"symbol": "x", "é": "\n"})),
            "positions:active:AAPL",
            {
                "symbol": "AAPL",
                "quantity": "10",
                "entry_price": "11.25",
                "side": "long",
                "strategy": "",
                "last_fill": "",
                "é": "\n",
            },
        ),
        (
            lambda store: store.remove_signals("m", "A:B"),
            "signals:m:A:B",
            {"signal_type": "m", "symbol": "A:B", "removed": True},
        ),
    ],
)
def test_publications_say_what_changed(tier: Tier, change: Any, channel: str, published: object) -> None:
    with tier.hearing(channel) as heard:
        change(tier.store)
        assert heard() == [(channel, published)]


def test_a_full_server_takes_all_of_a_value_or_nothing(small: Node) -> None:
    store = LiveStore.from_url(f"redis://127.0.0.1:{small.port}/0")
    store.set_active_positions([position("OLD", stop=Decimal(9)), position("GONE")])
    used: Any = small.client.info("memory")
    small.client.config_set("maxmemory", used["used_memory"] + 500_000)
    many = [position(f"S{at}", extra={"note": "x" * 500}) for at in range(1500)]
    with pytest.raises(LiveTierFull, match=r"\(\d+ of 1500 were written\)") as caught:
        store.set_active_positions(many)
    small.client.config_set("maxmemory", 1)
    for refused in (
        lambda: store.set_active_positions(position("OLD")),
        lambda: store.set_watchlist("A"),
        lambda: store.add_to_watchlist("A"),
        lambda: store.rank_candidates({"A": 1.0}),
        lambda: store.set_system_state({"feed": "up"}),
    ):
        with pytest.raises(LiveTierFull, match="Run `trading-data archive`"):
            refused()
    assert store.remove_active_positions("GONE") == 1
    small.client.config_set("maxmemory", 0)
    taken = [many[at] for at in range(1500) if at not in set(caught.value.refused)]
    assert taken == many[: len(taken)]
    assert 0 < len(taken) < 1500
    assert store.active_positions() == {"OLD": position("OLD", stop=Decimal(9))} | {one.symbol: one for one in taken}
    store.set_active_positions([many[at] for at in caught.value.refused])
    assert len(store.active_positions()) == 1501
    assert store.watchlist() == set()
    store.close()


def test_what_has_expired_is_absent(tier: Tier) -> None:
    write_all(tier.store)
    for key in tier.client.scan_iter():
        if tier.client.ttl(key) > 0:
            tier.client.pexpireat(key, 1)
    store = tier.store
    for gone in (store.indicators(), store.sentiment(), store.signals("momentum"), store.latest_bars()):
        assert gone == {}
    assert store.market_context() is None
    assert store.active_positions("AAPL") == position()
    assert store.watchlist() == {"AAPL"}
    assert tier.client.xlen("journal:price:AAPL") == 1


def test_a_server_that_is_away_is_one_clear_error() -> None:
    store = LiveStore.from_url("redis://127.0.0.1:1/0")
    for refused in (store.watchlist, store.active_positions, lambda: store.set_watchlist("A")):
        with pytest.raises(LiveTierError, match="does not answer"):
            refused()
