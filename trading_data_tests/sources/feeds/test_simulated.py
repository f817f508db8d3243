"""The simulated market: the same from the same seed, plausible, complete, and right in the end."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data.datasets.records import Bar
from trading_data.errors import BadInput
from trading_data.sources.feeds import Minute, SimulatedMarket, live_minutes, open_feed
from trading_data.sources.feeds.walk import tickers

DAY = date(2026, 3, 2)
MINUTE = timedelta(minutes=1)
Key = tuple[str, datetime]


def sends(minutes: list[Minute]) -> dict[Key, list[tuple[datetime, Bar]]]:
    """Each bar's sends in order, with the moment of each."""
    out: dict[Key, list[tuple[datetime, Bar]]] = defaultdict(list)
    for minute in minutes:
        for bar in minute.bars:
            out[bar.symbol, bar.timestamp].append((minute.at, bar))
    return out


def clean(symbols: int, seed: int, **options: bool) -> dict[Key, Bar]:
    market = SimulatedMarket(symbols, DAY, seed, late=0, repeated=0, corrected=0, **options)
    return {(bar.symbol, bar.timestamp): bar for minute in market for bar in minute.bars}


def test_one_seed_is_one_market() -> None:
    market = SimulatedMarket(5, DAY, 7)
    first = list(market)
    assert first == list(market) == list(SimulatedMarket(5, DAY, 7))
    assert first != list(SimulatedMarket(5, DAY, 8))
    assert first != list(SimulatedMarket(5, DAY + timedelta(days=1), 7))


def test_a_symbol_does_not_depend_on_those_behind_it() -> None:
    few, many = clean(3, 7), clean(40, 7)
    assert all(many[key] == bar for key, bar in few.items())


def test_the_session_has_its_minutes() -> None:
    minutes = list(SimulatedMarket(2, DAY, 7))
    assert [minute.at for minute in minutes] == [
        datetime(2026, 3, 2, 14, 31, tzinfo=UTC) + number * MINUTE for number in range(390)
    ]
    round_the_clock = list(SimulatedMarket(2, DAY, 7, round_the_clock=True))
    assert len(round_the_clock) == 1440
    assert round_the_clock[-1].at == datetime(2026, 3, 3, tzinfo=UTC)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**64),
    shares=st.tuples(*[st.sampled_from([0.0, 0.01, 0.2, 0.33])] * 3),
    symbols=st.integers(1, 4),
)
def test_what_is_sent_last_is_complete_and_right(seed: int, shares: tuple[float, float, float], symbols: int) -> None:
    late, repeated, corrected = shares
    minutes = list(SimulatedMarket(symbols, DAY, seed, late=late, repeated=repeated, corrected=corrected))
    sent = sends(minutes)
    assert {key: bars[-1][1] for key, bars in sent.items()} == clean(symbols, seed)
    assert len(sent) == symbols * 390


def test_the_shares_are_what_was_asked_for() -> None:
    sent = sends(list(SimulatedMarket(100, DAY, 7, late=0.02, repeated=0.03, corrected=0.05)))
    kinds: Counter[str] = Counter()
    delays: Counter[timedelta] = Counter()
    for (_, start), bars in sent.items():
        if len(bars) == 1:
            kinds["late"] += bars[0][0] > start + MINUTE
            delays[bars[0][0] - start - MINUTE] += 1
        else:
            kinds["repeated" if bars[0][1] == bars[1][1] else "corrected"] += 1
            assert len(bars) == 2
            assert bars[0][0] == start + MINUTE
    for kind, share in (("late", 0.02), ("repeated", 0.03), ("corrected", 0.05)):
        assert kinds[kind] / len(sent) == pytest.approx(share, rel=0.15)
    assert delays[timedelta(hours=1)] > 20


def test_bars_are_consistent_and_busy_at_both_ends_of_the_session() -> None:
    bars = clean(30, 7)
    volumes: Counter[datetime] = Counter()
    for (symbol, start), bar in bars.items():
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert all(price == round(price, 2) for price in (bar.open, bar.high, bar.low, bar.close))
        assert bar.volume >= 0
        assert bar.volume == int(bar.volume)
        before = bars.get((symbol, start - MINUTE))
        assert before is None or bar.open == before.close
        volumes[start] += int(bar.volume)
    by_time = [volumes[start] for start in sorted(volumes)]
    middle = sum(by_time[180:210])
    assert sum(by_time[:30]) > 2 * middle
    assert sum(by_time[-30:]) > 2 * middle


def test_fills_are_partial_exact_and_told_apart() -> None:
    minutes = list(SimulatedMarket(10, DAY, 7, repeated=0.05, fills_per_minute=20))
    fills = [fill for minute in minutes for fill in minute.fills]
    bars = clean(10, 7)
    distinct = set(fills)
    assert 0.02 < 1 - len(distinct) / len(fills) < 0.08
    assert len({fill.execution_id for fill in distinct}) == len(distinct)
    assert len({(fill.order_id, fill.timestamp) for fill in distinct}) == len(distinct)
    parts = Counter(fill.order_id for fill in distinct)
    assert set(parts.values()) == {1, 2, 3, 4}
    for fill in distinct:
        bar = bars[fill.symbol, fill.timestamp.replace(second=0, microsecond=0)]
        assert bar.low <= float(fill.price) <= bar.high
        assert fill.price.as_tuple().exponent == -2
        assert fill.quantity > 0
    of_an_order = {(fill.order_id, fill.symbol, fill.side, fill.strategy) for fill in distinct}
    assert len(of_an_order) == len(parts)


def test_measurements_tell_what_was_sent() -> None:
    for minute in SimulatedMarket(5, DAY, 7, metrics=9):
        named = {measurement.metric_name: measurement for measurement in minute.measurements}
        assert len(named) == 9
        assert named["feed.bars_per_minute"].value == len(minute.bars)
        assert named["strategy.momentum.pnl"].unit == "USD"
        assert {measurement.timestamp for measurement in minute.measurements} == {minute.at}


def test_live_goes_over_midnight_without_a_break_and_without_the_future() -> None:
    begin = datetime(2026, 3, 2, 22, 30, 17, tzinfo=UTC)
    minutes = list(islice(live_minutes(20, 7, begin=begin), 190))
    assert [minute.at for minute in minutes] == [
        datetime(2026, 3, 2, 22, 31, tzinfo=UTC) + n * MINUTE for n in range(190)
    ]
    for minute in minutes:
        stamps = [[bar.timestamp for bar in minute.bars], [fill.timestamp for fill in minute.fills]]
        assert all(stamp < minute.at for stamp in sum(stamps, []))
        assert all(measurement.timestamp == minute.at for measurement in minute.measurements)
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    last = {bar.symbol: bar.close for bar in clean(20, 7, round_the_clock=True).values()}
    first = {bar.symbol: bar.open for minute in minutes for bar in minute.bars if bar.timestamp == midnight}
    assert set(first.items()) <= set(last.items())
    sent = sends(minutes)
    assert any(at > midnight + MINUTE for (_, start), bars in sent.items() if start < midnight for at, _ in bars)
    assert all((symbol, begin.replace(second=0) + n * MINUTE) in sent for symbol in tickers(20) for n in range(120))


def test_live_started_again_tells_the_same() -> None:
    start = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    long = {key: bars[-1][1] for key, bars in sends(list(islice(live_minutes(10, 7, begin=start), 200))).items()}
    again = sends(list(islice(live_minutes(10, 7, begin=start + 50 * MINUTE), 100)))
    assert all(long[key] == bars[-1][1] for key, bars in again.items() if key[1] < start + 130 * MINUTE)


def test_live_in_sessions_waits_for_the_next_one() -> None:
    minutes = live_minutes(2, 7, round_the_clock=False, begin=datetime(2026, 3, 2, 20, 58, tzinfo=UTC))
    assert [minute.at for minute in islice(minutes, 3)] == [
        datetime(2026, 3, 2, 20, 59, tzinfo=UTC),
        datetime(2026, 3, 2, 21, 0, tzinfo=UTC),
        datetime(2026, 3, 3, 14, 31, tzinfo=UTC),
    ]


def test_names_are_unique_and_the_first_ones_stay() -> None:
    names = tickers(100_000)
    assert len(set(names)) == 100_000
    assert all(3 <= len(name) <= 4 and name.isalpha() and name.isupper() for name in names)
    assert tickers(10) == names[:10]


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbols": 0},
        {"symbols": 200_000},
        {"symbols": []},
        {"symbols": ["A", "B", "A"]},
        {"seed": -1},
        {"late": 0.6, "corrected": 0.6},
        {"repeated": -0.1},
        {"late": float("nan")},
        {"fills_per_minute": -1},
        {"metrics": -1},
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, object]) -> None:
    arguments: dict[str, object] = {"symbols": 3, "day": DAY, "seed": 7} | wrong
    with pytest.raises(BadInput):
        SimulatedMarket(**arguments)  # type: ignore[arg-type]


def test_feeds_are_opened_by_name() -> None:
    assert next(open_feed("simulated", pace=None, day=DAY)).at == datetime(2026, 3, 2, 14, 31, tzinfo=UTC)
    live = next(open_feed("simulated", symbols=["A", "B", "C"], round_the_clock=True))
    assert {bar.symbol for bar in live.bars} <= {"A", "B", "C"}
    with pytest.raises(BadInput, match="there is no feed 'nosuch'; there are simulated, replay, alpaca"):
        open_feed("nosuch")
    with pytest.raises(BadInput, match="takes no files"):
        open_feed("simulated", ["bars.csv"])
    with pytest.raises(BadInput, match="at least one"):
        open_feed("replay")
