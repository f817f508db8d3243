"""Records as hashes: what is written comes back equal, whatever it is; and what cannot be written is refused at the door."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data import Indicators, LiveStore, MarketContext, Position, Sentiment, Signal
from trading_data.errors import BadInput
from trading_data_tests.live.state.examples import HOSTILE, Tier, context, indicators, position, sentiment, signal
from trading_data_tests.rig import MOMENT, bar

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = texts.filter(str.strip) | st.sampled_from(HOSTILE)
types = names.filter(lambda name: ":" not in name)
floats = st.floats(allow_nan=False, allow_infinity=False)
exact = st.decimals(Decimal("-1e19"), Decimal("1e19"), allow_nan=False, places=18) | st.integers(-(10**19), 10**19).map(
    Decimal
)
zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone) | st.just(UTC)
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)  # noqa: DTZ001
fields = {"timestamp", "symbol", "signal_type", "values", "extra"} | {
    name for kind in (Sentiment, Position, Signal) for name in kind.__slots__
}
further = names.filter(lambda name: name not in fields)
extras = st.dictionaries(further, texts, max_size=4)
notes = st.dictionaries(further.map(lambda name: f"note {name}"), texts.map(lambda text: f"said {text}"), max_size=4)
values = st.dictionaries(further, floats, max_size=8)

records = st.one_of(
    st.builds(Indicators, names, times, values, notes),
    st.builds(Sentiment, names, times, floats, st.integers(-(2**63) + 1, 2**63 - 1), texts, extras),
    st.builds(MarketContext, times, values, notes),
    st.builds(Signal, types, names, times, texts, floats, extras),
    st.builds(
        Position,
        names,
        exact.map(abs),
        exact,
        st.none() | exact,
        st.none() | exact,
        st.sampled_from(["long", "short"]),
        texts,
        st.none() | times,
        texts,
        extras,
    ),
)


def write(store: LiveStore, record: Any) -> None:
    setters = {
        Indicators: store.set_indicators,
        Sentiment: store.set_sentiment,
        MarketContext: store.set_market_context,
        Position: store.set_active_positions,
        Signal: store.set_signals,
    }
    setters[type(record)](record)  # type: ignore[operator]


def read(store: LiveStore, record: Any) -> Any:
    """The record as the single getter has it, which has to be what the one for several and the one for all have."""
    if isinstance(record, MarketContext):
        return store.market_context()
    if isinstance(record, Signal):
        found: Any = store.signals(record.signal_type, record.symbol)
        several: Any = store.signals(record.signal_type, [record.symbol])
        everything: Any = store.signals(record.signal_type)
    else:
        getters: dict[type, Any] = {
            Indicators: store.indicators,
            Sentiment: store.sentiment,
            Position: store.active_positions,
        }
        getter = getters[type(record)]
        found, several, everything = getter(record.symbol), getter([record.symbol]), getter()
    assert several.whole() == everything.whole() == {record.symbol: found}
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=records)
def test_what_is_written_comes_back_equal(tier: Tier, record: Any) -> None:
    tier.client.flushdb()
    write(tier.store, record)
    assert read(tier.store, record) == record


@pytest.mark.parametrize("symbol", HOSTILE)
def test_a_symbol_is_data(tier: Tier, symbol: str) -> None:
    """With another one beside it that a careless pattern would match."""
    store = tier.store
    for record in (indicators(symbol), sentiment(symbol), position(symbol), signal(symbol)):
        write(store, record)
        assert read(store, record) == record
    store.set_monitored_positions([position(symbol), position("other")])
    assert list(store.monitored_positions([symbol])) == [symbol]
    store.set_watchlist([symbol])
    store.rank_candidates({symbol: 1.0})
    assert store.watchlist() == {symbol}
    assert store.candidates() == {symbol: 1.0}
    assert store.remove_active_positions(symbol) == store.remove_candidates(symbol) == 1
    assert store.active_positions() == {}
    assert store.candidates() == {}
    assert set(store.monitored_positions()) == {symbol, "other"}


def test_a_signal_type_with_glob_characters_lists_its_own_alone(tier: Tier) -> None:
    tier.store.set_signals([signal("AAPL", "*"), signal("MSFT", "momentum"), signal("AAPL:x", "m?")])
    assert list(tier.store.signals("*")) == ["AAPL"]
    assert list(tier.store.signals("m?")) == ["AAPL:x"]


@pytest.mark.parametrize("symbol", ["", " ", "\ud800", None, 7])
def test_a_name_that_is_none_is_refused_everywhere(tier: Tier, symbol: Any) -> None:
    store = tier.store
    for refused in (
        lambda: store.set_indicators(indicators(symbol)),
        lambda: store.set_signals(signal("AAPL", symbol)),
        lambda: store.active_positions([symbol]),
        lambda: store.remove_active_positions([symbol]),
        lambda: store.set_watchlist([symbol]),
        lambda: store.rank_candidates({symbol: 1.0}),
        lambda: store.set_system_state({symbol: "up"}),
    ):
        with pytest.raises(BadInput):
            refused()
    assert tier.client.dbsize() == 0


def test_a_colon_in_a_signal_type_is_refused(tier: Tier) -> None:
    """Else `signals:a:b:C` would be both b:C of type a and C of type a:b."""
    for refused in (
        lambda: tier.store.set_signals(signal("C", "a:b")),
        lambda: tier.store.signals("a:b"),
        lambda: tier.store.remove_signals("a:b", "C"),
    ):
        with pytest.raises(BadInput, match=r"signal_type 'a:b' contains a colon"):
            refused()


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (indicators(rsi=float("nan")), r"Indicators\[1\]\.values\['rsi'\] must be a finite number"),
        (indicators(rsi="61.5"), "must be a finite number"),  # type: ignore[arg-type]
        (indicators(timestamp=1.0), r"values must not contain 'timestamp', a field of its own"),
        (Indicators("A", MOMENT, {}, {"rsi": "61.5"}), r"extra\['rsi'\] is '61.5', a number: put it into values"),
        (Indicators("A", MOMENT, {"rsi": 1.0}, {"rsi": "high"}), r"extra must not contain 'rsi', a field of its own"),
        (Indicators("A", datetime(2026, 1, 1), {}), r"\.timestamp must be an ISO 8601 time with a zone"),  # noqa: DTZ001
        (Indicators("A", "2026-01-01", {}), r"\.timestamp must be an ISO 8601 time"),  # type: ignore[arg-type]
        (Indicators("A", datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), {}), "must be an ISO 8601 time"),
        ("AAPL", r"Indicators\[1\] is a str, not a Indicators"),
    ],
)
def test_a_record_that_cannot_be_kept_is_refused_and_none_is_written(tier: Tier, record: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        tier.store.set_indicators([indicators("MSFT"), record])
    assert tier.client.dbsize() == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"quantity": Decimal(-1)}, "quantity must be a number .*, at least 0"),
        ({"quantity": Decimal("1e-19")}, "quantity must be a number in plain decimal of at most 20 digits"),
        ({"quantity": Decimal("1e-999999999")}, "quantity must be a number"),
        ({"stop": Decimal("1e20")}, "stop must be a number"),
        ({"stop": Decimal("NaN")}, "stop must be a number"),
        ({"stop": True}, "stop must be a number"),
        ({"side": "flat"}, "side must be one of long, short"),
        ({"strategy": None}, "strategy must be a string"),
        ({"extra": {"stop": "1"}}, "extra must not contain 'stop'"),
        ({"extra": {"note": 1}}, r"extra\['note'\] must be a string"),
        ({"extra": {"note": "\ud800"}}, r"extra\['note'\] must be a string"),
    ],
)
def test_a_position_that_cannot_be_kept_is_refused(tier: Tier, values: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"symbol": "AAPL", "quantity": Decimal(1), "entry_price": Decimal(1), **values}
    with pytest.raises(BadInput, match=said):
        tier.store.set_active_positions(Position(**given))
    assert tier.client.dbsize() == 0


def test_numbers_of_other_kinds_become_plain_ones(tier: Tier) -> None:
    tier.store.set_active_positions(Position("A", 3, 10.5, stop=np.float64(9.25)))  # type: ignore[arg-type]
    assert tier.store.active_positions("A") == Position("A", Decimal(3), Decimal("10.5"), Decimal("9.25"))
    tier.store.set_sentiment(Sentiment("A", MOMENT, np.float32(0.5), np.int64(3), ""))  # type: ignore[arg-type]
    assert tier.store.sentiment("A") == Sentiment("A", MOMENT, 0.5, 3, "")
    tier.store.record_prices([bar(close=np.float64(11.125))])
    assert tier.store.latest_bars("AAPL") == bar(close=11.125)


def test_numbers_are_in_plain_decimal_and_times_in_utc(tier: Tier) -> None:
    at = datetime(2026, 11, 20, 16, 0, tzinfo=timezone(timedelta(hours=1)))
    tier.store.set_indicators(Indicators("A", at, {"tiny": -1e-7, "huge": 1e22}))
    assert tier.client.hgetall("stocks:indicators:A") == {
        b"tiny": b"-0.0000001",
        b"huge": b"10000000000000000000000",
        b"timestamp": b"2026-11-20T15:00:00+00:00",
    }


def test_records_can_be_told_apart_and_put_into_sets() -> None:
    assert len({indicators(), indicators(rsi=1.0), context(), position(), position(quantity="11"), signal()}) == 6
