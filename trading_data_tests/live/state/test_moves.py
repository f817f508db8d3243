"""Candidates become monitored, positions open, shrink and close: whole or not at all, and no fill is lost on the way."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from trading_data import LiveStore, Position
from trading_data.datasets import TRADE
from trading_data.errors import BadInput, LiveTierFull, Refused, WrongContent
from trading_data_tests.live.servers import Node
from trading_data_tests.live.state.examples import HOSTILE, Tier, journalled, position, sold
from trading_data_tests.rig import MOMENT, fill


def test_a_candidate_becomes_a_monitored_position(either: Tier) -> None:
    store = either.store
    store.set_candidates({"AAPL": 2.0, "MSFT": 1.0})
    store.monitor_candidate(position("AAPL", "0"))
    assert store.candidates() == {"MSFT": 1.0}
    assert store.monitored_positions() == {"AAPL": position("AAPL", "0")}
    for _ in range(2):
        with pytest.raises(Refused, match=r"'AAPL' is (not among the candidates|already monitored)"):
            store.monitor_candidate(position("AAPL"))
    store.rank_candidates({"AAPL": 3.0})
    with pytest.raises(Refused, match="'AAPL' is already monitored"):
        store.monitor_candidate(position("AAPL", "7"))
    assert store.candidates() == {"AAPL": 3.0, "MSFT": 1.0}
    assert store.monitored_positions() == {"AAPL": position("AAPL", "0")}


def test_a_position_opens_shrinks_and_closes(either: Tier) -> None:
    """Without losing a digit of the 38 that the archive can hold."""
    store, rest = either.store, "9" * 19 + "." + "9" * 18
    store.set_monitored_positions([position("AAPL"), position("MSFT")])
    opened = store.open_position(
        position("AAPL", "1" + "0" * 19, stop=Decimal(10), extra={"note": "x"}), fill("o1", "e1")
    )
    assert opened == Position(
        "AAPL",
        Decimal(10**19),
        Decimal("11.25"),
        Decimal(10),
        opened_at=MOMENT,
        last_fill="o1/e1",
        extra={"note": "x"},
    )
    assert store.active_positions() == {"AAPL": opened}
    assert store.monitored_positions() == {"MSFT": position("MSFT")}
    left = store.reduce_position("AAPL", sold("e2", "0.000000000000000001"))
    assert left == store.active_positions("AAPL")
    assert left is not None
    assert (left.quantity, left.stop, left.last_fill) == (Decimal(rest), Decimal(10), "o2/e2")
    assert store.close_position("AAPL", sold("e3", rest)) == left
    assert store.active_positions() == {}
    assert journalled(either) == ["e1", "e2", "e3"]


def test_a_short_position_is_bought_back(either: Tier) -> None:
    store = either.store
    store.open_position(position(side="short"), sold("e1"))
    with pytest.raises(Refused, match="is short: a sell does not reduce it"):
        store.reduce_position("AAPL", sold())
    assert store.reduce_position("AAPL", fill("o2", "e2")) is None
    assert journalled(either) == ["e1", "e2"]


@pytest.mark.parametrize(
    ("move", "error", "said"),
    [
        (
            lambda store: store.open_position(position(), fill("o9", "e9")),
            Refused,
            "'AAPL' already has an open position: the fill",
        ),
        (lambda store: store.reduce_position("AAPL", sold("e1x", "11")), Refused, "fill of 11 is more than the 10"),
        (
            lambda store: store.close_position("AAPL", sold("e1x", "4")),
            Refused,
            "leaves 6 .* open: use reduce_position",
        ),
        (lambda store: store.close_position("MSFT", sold(symbol="MSFT")), Refused, "'MSFT' has no open position"),
        (lambda store: store.reduce_position("AAPL", fill("o2", "e2")), Refused, "is long: a buy does not reduce it"),
        (
            lambda store: store.reduce_position("AAPL", fill("o1", "e1", side="sell")),
            Refused,
            "fill o1/e1 is already part of the position",
        ),
        (
            lambda store: store.close_position("AAPL", sold(symbol="MSFT")),
            BadInput,
            "the fill is for 'MSFT', not 'AAPL'",
        ),
        (lambda store: store.open_position(position("MSFT"), fill()), BadInput, "the fill is for 'AAPL', not 'MSFT'"),
        (
            lambda store: store.open_position(position("MSFT"), sold(symbol="MSFT")),
            BadInput,
            "a sell does not open a long",
        ),
        (lambda store: store.open_position(position("MSFT", "0"), fill(symbol="MSFT")), BadInput, "must be above 0"),
        (
            lambda store: store.open_position(position("MSFT"), fill(symbol="MSFT", price=Decimal("NaN"))),
            BadInput,
            "finite",
        ),
        (
            lambda store: store.open_position(position("MSFT"), fill("", symbol="MSFT")),
            BadInput,
            r"order_id '' is empty",
        ),
        (lambda store: store.open_position(position(""), fill()), BadInput, "symbol must be a non-empty string"),
        (lambda store: store.open_position({"symbol": "MSFT"}, fill()), BadInput, "position is a dict, not a Position"),
        (lambda store: store.monitor_candidate(position("NO")), Refused, "'NO' is not among the candidates"),
    ],
)
def test_what_is_refused_changes_nothing(
    either: Tier, move: Callable[[LiveStore], object], error: type[Exception], said: str
) -> None:
    store = either.store
    opened = store.open_position(position(), fill("o1", "e1"))
    with pytest.raises(error, match=said):
        move(store)
    assert store.active_positions() == {"AAPL": opened}
    assert store.monitored_positions() == {}
    assert store.candidates() == {}
    assert journalled(either) == ["e1"]


def test_fills_are_taken_as_record_trades_takes_them(tier: Tier) -> None:
    given = {name: str(getattr(fill(), name)) for name in TRADE.names}
    tier.store.record_trades([given])
    tier.store.open_position(position(), given)
    (_, first), (_, second) = tier.client.xrange("journal:trade")
    assert list(first.items()) == list(second.items())


@pytest.mark.parametrize("symbol", HOSTILE)
def test_a_symbol_is_data_in_a_move_too(tier: Tier, symbol: str) -> None:
    store = tier.store
    store.rank_candidates({symbol: 1.0, "other": 2.0})
    store.monitor_candidate(position(symbol))
    if "\x00" in symbol:  # a position may have any name; what a fill is about has to fit into the archive
        return
    store.open_position(position(symbol), fill(symbol=symbol))
    store.close_position(symbol, sold(symbol=symbol))
    assert sorted(tier.client.scan_iter()) == [b"candidates:ranked", b"journal:trade"]


def test_every_key_of_a_move_is_published(either: Tier) -> None:
    store = either.store
    store.set_candidates({"AAPL": 1.0})
    names = ["candidates:ranked", "positions:monitoring:AAPL", "journal:trade", "positions:active:AAPL"]
    with either.hearing(*names) as heard:
        store.monitor_candidate(position())
        store.open_position(position(), fill())
        store.close_position("AAPL", sold())
        said = heard()
    assert sorted(name for name, _ in said) == sorted([*names, *names[1:]])
    assert ("candidates:ranked", {"removed": ["AAPL"]}) in said
    gone = {"symbol": "AAPL", "removed": True}
    assert {name for name, message in said if message == gone} == {"positions:monitoring:AAPL", "positions:active:AAPL"}
    assert [message["execution_id"] for name, message in said if name == "journal:trade"] == ["e1", "e2"]


def test_a_full_server_does_nothing_of_a_move(small: Node) -> None:
    store = LiveStore.from_url(f"redis://127.0.0.1:{small.port}/0")
    store.set_candidates({"AAPL": 1.0})
    store.set_monitored_positions(position("MSFT"))
    opened = store.open_position(position("IBM"), fill(symbol="IBM"))
    moves: list[Callable[[], object]] = [
        lambda: store.monitor_candidate(position()),
        lambda: store.open_position(position("MSFT"), fill(symbol="MSFT")),
        lambda: store.reduce_position("IBM", sold(symbol="IBM", quantity="1")),
        lambda: store.close_position("IBM", sold(symbol="IBM")),
    ]
    small.client.config_set("maxmemory", 1)
    for move in moves:
        with pytest.raises(LiveTierFull, match="Run `trading-data archive`"):
            move()
    assert store.candidates() == {"AAPL": 1.0}
    assert store.monitored_positions() == {"MSFT": position("MSFT")}
    assert store.active_positions() == {"IBM": opened}
    assert journalled(Tier(store)) == ["e1"]
    small.client.config_set("maxmemory", 0)
    for move in (moves[0], moves[1], moves[3]):
        move()
    assert store.candidates() == {}
    assert set(store.active_positions()) == {"MSFT"}
    store.close()


@pytest.mark.parametrize("name", ["journal:trade", "positions:active:AAPL", "positions:monitoring:AAPL"])
def test_a_key_of_another_type_stops_a_move_before_it_begins(either: Tier, name: str) -> None:
    store = either.store
    either.client.set(name, "x")
    with pytest.raises(WrongContent, match=f"'{name}' is a string"):
        store.open_position(position(), fill())
    assert [key.decode() for key in either.client.scan_iter()] == [name]


def test_a_position_that_cannot_be_read_is_not_closed(either: Tier) -> None:
    store = either.store
    either.client.hset("positions:active:AAPL", mapping={"quantity": "ten", "entry_price": "1"})
    with pytest.raises(WrongContent, match=r"field quantity of .* is 'ten'"):
        store.close_position("AAPL", sold())
    assert journalled(either) == []
