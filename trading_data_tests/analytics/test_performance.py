"""FIFO matching against cases worked out by hand, and against a model that trades one unit at a time."""

from collections import deque
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_data import Fill
from trading_data.analytics import performance, round_trips
from trading_data.datasets import TRADE
from trading_data.errors import BadInput
from trading_data_tests.rig import MOMENT, Rig, fill

D = Decimal
AMOUNTS = ["gross_profit", "closed_commission", "net_profit", "commission"]
OPEN = ["open_quantity", "cost_basis", "average_price", "mark", "exposure", "unrealised_profit"]
CLOSED = ["round_trips", "winners", "losers", "win_rate", "largest_win", "largest_loss"]


def frame(*fills: Fill) -> pd.DataFrame:
    rows = [{name: getattr(fill, name) for name in TRADE.names} for fill in fills]
    return pd.DataFrame(rows, columns=list(TRADE.names)).astype({"timestamp": "datetime64[us, UTC]"})


def traded(*orders: str, **values: Any) -> pd.DataFrame:
    """Fills a minute apart, each written `buy 10 at 100 for 1`."""
    fills = []
    for minute, order in enumerate(orders):
        side, quantity, _, price, _, commission = order.split()
        amounts = {"quantity": D(quantity), "price": D(price), "commission": D(commission)}
        fills.append(fill(f"o{minute}", "e", minute, side=side, **amounts, **values))
    return frame(*fills)


def only_row(fills: pd.DataFrame, marks: dict[str, Decimal] | None = None) -> dict[str, Any]:
    (row,) = performance(fills, marks).to_dict("records")
    return {str(name): value for name, value in row.items()}


def picked(row: dict[str, Any], names: list[str]) -> list[Any]:
    return [row[name] for name in names]


def test_lots_are_closed_in_the_order_of_buying() -> None:
    """12 of 15 sold at 120: 10 bought at 100 and 2 at 110. Commission: 1 + 2/5 of 1 + 1.2."""
    row = only_row(traded("buy 10 at 100 for 1", "buy 5 at 110 for 1", "sell 12 at 120 for 1.2"), {"AAPL": D("125.5")})
    assert picked(row, ["strategy", "symbol", "fills", "bought", "sold"]) == ["momentum", "AAPL", 3, D(15), D(12)]
    assert picked(row, AMOUNTS) == [D(220), D("2.6"), D("217.4"), D("3.2")]
    assert picked(row, OPEN) == [D(3), D(330), D(110), D("125.5"), D("376.5"), D("46.5")]
    assert picked(row, CLOSED) == [2, 2, 0, D(1), D(198), None]


def test_round_trips_of_partial_fills() -> None:
    trips = round_trips(traded("buy 10 at 100 for 1", "buy 5 at 110 for 1", "sell 12 at 120 for 1.2"))
    assert trips[["entry_order_id", "exit_order_id", "quantity", "entry_price", "exit_price"]].values.tolist() == [
        ["o0", "o2", D(10), D(100), D(120)],
        ["o1", "o2", D(2), D(110), D(120)],
    ]
    assert trips[["gross_profit", "commission", "net_profit"]].values.tolist() == [
        [D(200), D(2), D(198)],
        [D(20), D("0.6"), D("19.4")],
    ]
    assert trips["opened"].tolist() == [MOMENT, MOMENT + timedelta(minutes=1)]
    assert trips["closed"].tolist() == [MOMENT + timedelta(minutes=2)] * 2
    assert set(trips["direction"]) == {"long"}


def test_a_short_position() -> None:
    """Sold at 50, covered 4 at 45 and 6 at 52: 20 - 12 = 8."""
    row = only_row(traded("sell 10 at 50 for 0", "buy 4 at 45 for 0", "buy 6 at 52 for 0"))
    assert picked(row, AMOUNTS) == [D(8), D(0), D(8), D(0)]
    assert picked(row, CLOSED) == [2, 1, 1, D("0.5"), D(20), D(-12)]
    assert picked(row, OPEN) == [D(0), D(0), None, None, D(0), D(0)]


def test_a_flip_through_zero() -> None:
    """Long 5 at 10, 8 sold at 12 of which 3 open a short, 3 covered at 11: 10 + 3. The commission 1.6 is split into 1.0 and 0.6."""
    fills = traded("buy 5 at 10 for 0.5", "sell 8 at 12 for 1.6", "buy 3 at 11 for 0.3")
    row = only_row(fills)
    assert picked(row, AMOUNTS) == [D(13), D("2.4"), D("10.6"), D("2.4")]
    assert round_trips(fills)["direction"].tolist() == ["long", "short"]
    assert round_trips(fills)["commission"].tolist() == [D("1.5"), D("0.9")]
    still = only_row(fills.iloc[:2], {"AAPL": D(13)})
    assert picked(still, OPEN) == [D(-3), D(-36), D(12), D(13), D(-39), D(-3)]
    assert picked(still, AMOUNTS) == [D(10), D("1.5"), D("8.5"), D("2.1")]


def test_a_commission_that_does_not_divide_is_apportioned_to_the_last_digit() -> None:
    """1 divided by three: twice 0.333333333333333333, and the remainder with the last part."""
    fills = traded("buy 3 at 10 for 1", "sell 1 at 11 for 0", "sell 1 at 11 for 0", "sell 1 at 11 for 0")
    assert round_trips(fills)["commission"].tolist() == [
        D("0.333333333333333333"),
        D("0.333333333333333334"),
        D("0.333333333333333333"),
    ]
    assert only_row(fills)["closed_commission"] == D(1)
    assert only_row(fills.iloc[:2])["commission"] == D(1)


def test_without_a_mark_exposure_is_at_cost_and_nothing_unrealised_is_claimed() -> None:
    row = only_row(traded("buy 3 at 10 for 1", "buy 4 at 11 for 1"), {"MSFT": D(5)})
    assert picked(row, OPEN) == [D(7), D(74), D("10.571428571428571429"), None, D(74), None]
    assert picked(row, CLOSED) == [0, 0, 0, None, None, None]


def test_a_round_trip_that_only_pays_commission_is_lost_and_one_at_nothing_is_neither() -> None:
    row = only_row(traded("buy 1 at 10 for 0.5", "sell 1 at 10 for 0", "buy 1 at 10 for 0", "sell 1 at 10 for 0"))
    assert picked(row, CLOSED) == [2, 0, 1, D(0), None, D("-0.5")]


def test_a_rebate_is_a_negative_commission() -> None:
    assert picked(only_row(traded("buy 2 at 10 for -0.1", "sell 2 at 10 for -0.1")), AMOUNTS) == [
        D(0),
        D("-0.2"),
        D("0.2"),
        D("-0.2"),
    ]


def test_strategies_and_symbols_do_not_mix() -> None:
    fills = pd.concat(
        [
            traded("buy 1 at 10 for 0", strategy="b"),
            traded("sell 1 at 11 for 0", strategy="a").assign(order_id="other"),
            traded("sell 1 at 11 for 0", strategy="b", symbol="MSFT").assign(order_id="third"),
        ]
    )
    result = performance(fills)
    assert result[["strategy", "symbol", "open_quantity"]].values.tolist() == [
        ["a", "AAPL", D(-1)],
        ["b", "AAPL", D(1)],
        ["b", "MSFT", D(-1)],
    ]


def test_equal_times_are_taken_in_the_order_of_their_ids() -> None:
    fills = frame(
        fill("b", "1", side="buy", price=D(20), quantity=D(1)),
        fill("c", "1", side="sell", price=D(30), quantity=D(1)),
        fill("a", "2", side="buy", price=D(10), quantity=D(1)),
    )
    assert round_trips(fills)["entry_order_id"].tolist() == ["a"]


def atoms(value: Decimal, places: int) -> int:
    """The number in units of its last place, computed from its text."""
    before, _, behind = format(value, "f").partition(".")
    return int(before + behind.ljust(places, "0"))


def test_numbers_of_every_digit_stay_exact() -> None:
    big, small = D("99999999999999999999.999999999999999999"), D("0.000000000000000001")
    row = only_row(traded(f"buy {big} at {big} for {small}", f"sell {small} at {small} for 0"), {"AAPL": big})
    most = 10**38 - 1
    assert atoms(row["gross_profit"], 36) == 1 - most
    assert atoms(row["cost_basis"], 36) == atoms(row["exposure"], 36) == (most - 1) * most


def test_no_fills_give_the_same_columns() -> None:
    empty, filled = frame(), traded("buy 1 at 1 for 0", "sell 1 at 2 for 0")
    for made in (performance, round_trips):
        assert made(empty).empty
        assert made(empty).dtypes.to_dict() == made(filled).dtypes.to_dict()
    assert performance(pd.DataFrame(columns=list(TRADE.names))).empty


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"quantity": 1.5}, r"quantity of o0 e must be an exact number \(decimal.Decimal\), not 1.5"),
        ({"price": D("Infinity")}, "not a finite number"),
        ({"price": D("NaN")}, "missing value"),
        ({"commission": D("1e-19")}, "18 after the decimal point"),
        ({"quantity": D(0)}, "must be above 0"),
        ({"quantity": D(-1)}, "the direction is in `side`"),
        ({"side": "short"}, "neither buy nor sell"),
        ({"strategy": None}, "missing value"),
        ({"timestamp": pd.Timestamp("2026-11-20")}, "with a zone"),
    ],
)
def test_an_invalid_fill_is_refused(changed: dict[str, Any], message: str) -> None:
    fills = traded("buy 1 at 1 for 0").drop(columns=list(changed)).assign(**changed)
    with pytest.raises(BadInput, match=message):
        performance(fills)


def test_an_invalid_frame_and_an_invalid_mark() -> None:
    fills = traded("buy 1 at 1 for 0")
    with pytest.raises(BadInput, match="no column strategy"):
        performance(fills.drop(columns="strategy"))
    with pytest.raises(BadInput, match="occurs twice"):
        performance(pd.concat([fills, fills]))
    with pytest.raises(BadInput, match="mark of AAPL must be an exact number"):
        performance(fills, {"AAPL": 1.5})  # type: ignore[dict-item]


orders = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 4),
        st.decimals("0", "99", places=3),
        st.decimals("-1", "1", places=2),
    ),
    max_size=12,
)


def unit_by_unit(fills: pd.DataFrame) -> tuple[Decimal, int]:
    """Gross profit and open quantity of one symbol, trading whole units one at a time."""
    units: deque[tuple[int, Decimal]] = deque()
    profit = D(0)
    for _, row in fills.sort_values(["timestamp", "order_id", "execution_id"]).iterrows():
        sign = 1 if row["side"] == "buy" else -1
        for _ in range(int(row["quantity"])):
            if units and units[0][0] != sign:
                profit += units[0][0] * (row["price"] - units.popleft()[1])
            else:
                units.append((sign, row["price"]))
    return profit, sum(sign for sign, _ in units)


@settings(max_examples=25, deadline=None)
@given(orders, st.decimals("0.01", "99", places=2), st.randoms())
def test_profit_is_the_money_that_moved(given_orders: list[Any], mark: Decimal, random: Any) -> None:
    fills = [
        fill(f"o{at}", "e", minute, strategy=of, side=side, quantity=D(quantity), price=price, commission=commission)
        for at, (minute, of, side, quantity, price, commission) in enumerate(given_orders)
    ]
    rows = frame(*fills)
    result, trips = performance(rows, {"AAPL": mark}), round_trips(rows)
    assert result["strategy"].tolist() == sorted({fill.strategy for fill in fills})
    for row in result.to_dict("records"):
        mine = [fill for fill in fills if fill.strategy == row["strategy"]]
        signs = {"buy": 1, "sell": -1}
        quantity = sum((signs[fill.side] * fill.quantity for fill in mine), D(0))
        cash = sum((-signs[fill.side] * fill.quantity * fill.price for fill in mine), D(0))
        commission = sum((fill.commission for fill in mine), D(0))
        assert row["bought"] - row["sold"] == row["open_quantity"] == quantity
        assert row["exposure"] == quantity * mark
        assert row["commission"] == commission
        assert row["gross_profit"] + row["unrealised_profit"] - commission == cash + quantity * mark - commission
        of_strategy = trips[trips["strategy"] == row["strategy"]]
        assert unit_by_unit(rows[rows["strategy"] == row["strategy"]]) == (row["gross_profit"], row["open_quantity"])
        assert sum(of_strategy["gross_profit"], D(0)) == row["gross_profit"]
        assert sum(of_strategy["commission"], D(0)) == row["closed_commission"]
        if not quantity:
            assert row["closed_commission"] == commission
        assert row["winners"] + row["losers"] <= row["round_trips"] == len(of_strategy)
        assert row["bought"] + row["sold"] == 2 * sum(of_strategy["quantity"], D(0)) + abs(quantity)
    shuffled = rows.sample(frac=1, random_state=random.randrange(1000)) if len(rows) else rows
    pd.testing.assert_frame_equal(performance(shuffled, {"AAPL": mark}), result)
    renamed = rows.assign(order_id=[f"o{9 - at:02}" for at in range(len(rows))])
    other = performance(renamed, {"AAPL": mark})
    totals = ["open_quantity", "exposure", "commission", "bought", "sold"]
    assert other[totals].to_dict("records") == result[totals].to_dict("records")
    assert (other["gross_profit"] + other["unrealised_profit"]).tolist() == (
        result["gross_profit"] + result["unrealised_profit"]
    ).tolist()


def test_fills_as_the_reader_returns_them(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", quantity=D(2), price=D(10)), fill("o2", minute=1, quantity=D(2), side="sell")])
    rig.archive_all(TRADE)
    rig.store.record_trades([fill("o3", minute=2, quantity=D("0.5"), price=D("12.34"))])
    result = performance(rig.reader.trades("AAPL", MOMENT, MOMENT + timedelta(hours=1)))
    assert result[["gross_profit", "commission", "cost_basis"]].values.tolist() == [[D("2.5"), D("1.5"), D("6.17")]]
