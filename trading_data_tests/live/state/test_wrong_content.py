"""What other programs put under the keys: it survives, or is reported by name; never passed over, never in the way."""

from dataclasses import replace
from decimal import Decimal

import pytest

from trading_data import Indicators, Position
from trading_data.datasets import PRICE
from trading_data.errors import WrongContent
from trading_data_tests.live.state.examples import Tier, context, position
from trading_data_tests.rig import MOMENT, bar, measurement


def test_what_strangers_put_into_a_hash_survives(tier: Tier) -> None:
    tier.client.hset(
        "positions:active:AAPL", mapping={"quantity": "1e1", "entry_price": "5", "symbol": "aapl", b"\xff": b"\xfe"}
    )
    found = tier.store.active_positions("AAPL")
    assert found is not None
    assert found == Position("AAPL", Decimal(10), Decimal(5), extra={"symbol": "aapl", "\udcff": "\udcfe"})
    tier.store.set_active_positions(replace(found, stop=Decimal(4)))
    kept = tier.client.hgetall("positions:active:AAPL")
    assert kept[b"\xff"] == b"\xfe"
    assert kept[b"symbol"] == b"aapl"
    tier.client.hset(
        "stocks:indicators:X", mapping={"timestamp": "2026-11-20T15:00:00Z", "rsi": "nan", "sma": "3", "symbol": "7"}
    )
    assert tier.store.indicators("X") == Indicators("X", MOMENT, {"sma": 3.0}, {"rsi": "nan", "symbol": "7"})
    tier.client.hset(
        "positions:active:\udcff".encode("utf-8", "surrogateescape"), mapping={"quantity": 1, "entry_price": 1}
    )
    assert list(tier.store.active_positions()) == ["AAPL", "\udcff"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"quantity": "1"},
            "'positions:active:BAD' has no field entry_price, which a Position needs: write it again with",
        ),
        ({"quantity": "-1", "entry_price": "1"}, "field quantity of .* is '-1', not a number .*, at least 0"),
        ({"quantity": "many", "entry_price": "1"}, "field quantity of .* is 'many', not a number in plain decimal"),
        ({"quantity": "1", "entry_price": "nan"}, "field entry_price of .* is 'nan'"),
        ({"quantity": "1", "entry_price": "1", "side": "SHORT"}, "field side of .* is 'SHORT', not one of long, short"),
        ({"quantity": "1", "entry_price": "1", "opened_at": "2026-01-01T00:00:00"}, "field opened_at of .* is '2026"),
        ({"quantity": "1", "entry_price": "1", "opened_at": "soon"}, "not an ISO 8601 time with a zone"),
        (None, "'positions:active:BAD' is a string, not a hash: another program wrote it; rename or delete it"),
    ],
)
def test_wrong_content_is_an_error_alone_and_a_problem_among_others(
    tier: Tier, fields: dict[str, str] | None, said: str
) -> None:
    tier.store.set_active_positions([position("AAPL"), position("MSFT")])
    if fields is None:
        tier.client.set("positions:active:BAD", "x")
    else:
        tier.client.hset("positions:active:BAD", mapping=fields)
    with pytest.raises(WrongContent, match=said) as caught:
        tier.store.active_positions("BAD")
    assert caught.value.key == "positions:active:BAD"
    for found in (tier.store.active_positions(), tier.store.active_positions(["AAPL", "BAD", "MSFT"])):
        assert found == {"AAPL": position("AAPL"), "MSFT": position("MSFT")}
        assert [str(problem) for problem in found.problems] == [str(caught.value)]
        with pytest.raises(WrongContent, match=said):
            found.whole()


def test_a_key_without_a_symbol_is_a_problem(tier: Tier) -> None:
    tier.client.hset("positions:active:", mapping={"quantity": 1, "entry_price": 1})
    (problem,) = tier.store.active_positions().problems
    assert "names no symbol" in str(problem)


def test_every_getter_and_every_change_names_a_key_of_the_wrong_type(tier: Tier) -> None:
    store = tier.store
    one_key = ("market:context", "watchlist:current", "candidates:ranked", "system:state", "metrics:performance")
    for name in (*one_key, "stocks:price:A"):
        tier.client.lpush(name, "x")
    with tier.hearing(*one_key) as heard:
        for refused in (
            store.market_context,
            store.watchlist,
            store.candidates,
            store.system_state,
            store.performance,
            lambda: store.latest_bars("A"),
            lambda: store.add_to_watchlist("A"),
            lambda: store.remove_from_watchlist("A"),
            lambda: store.rank_candidates({"A": 1.0}),
            lambda: store.remove_candidates("A"),
            lambda: store.set_system_state({"feed": "up"}),
        ):
            with pytest.raises(WrongContent, match=r"is a list, not a (hash|set|zset)"):
                refused()
        assert heard() == []
    store.set_market_context(context())
    store.set_watchlist("A")
    assert store.market_context() == context()
    assert store.watchlist() == {"A"}


def test_a_metric_that_is_no_number_is_a_problem(tier: Tier) -> None:
    tier.store.record_metrics([measurement()])
    tier.client.hset("metrics:performance", "drawdown", "a lot")
    found = tier.store.performance()
    assert found == {"latency": 1.5}
    assert "field 'drawdown' of 'metrics:performance' is 'a lot'" in str(found.problems[0])


def test_latest_bars_are_read_however_they_were_written(tier: Tier) -> None:
    tier.store.record_prices([bar("AAPL", 0), bar("AAPL", 3, close=11.5)])
    fields = {
        "timestamp": "2026-11-20T15:00:00Z",
        "open": 1,
        "high": "2",
        "low": "0.5",
        "close": "1e0",
        "volume": 5,
        "source": "me",
        "vwap": "1",
    }
    tier.client.hset("stocks:price:X", mapping=fields)
    tier.client.hset("stocks:price:Y", mapping={"timestamp": "2026-11-20T15:00:00Z"})
    found = tier.store.latest_bars()
    assert found == {
        "AAPL": bar("AAPL", 3, close=11.5),
        "X": bar("X", open=1.0, high=2.0, low=0.5, close=1.0, volume=5.0, source="me"),
    }
    assert "has no field open, which a Bar needs" in str(found.problems[0])
    assert set(PRICE.fields) < set(fields)
