"""One row a key at every moment; invariant 5 of DESIGN.md."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data import Bar, MarketData
from trading_data.aggregates.compute import compute
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import ArchiveTierError, BadInput, LiveTierError, SettingError
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

END = MOMENT + timedelta(hours=4)
STEPS: dict[str, Callable[[Rig], object]] = {
    "snapshot": lambda rig: rig.snapshot(PRICE),
    "load": lambda rig: rig.load(PRICE),
    "trim": lambda rig: rig.trim(PRICE),
    "refresh": lambda rig: rig.refresh(PRICE),
}


def expected(model: dict[tuple[str, datetime], Bar], symbols: list[str] | None) -> pd.DataFrame:
    rows = [model[key] for key in sorted(model) if symbols is None or key[0] in symbols]
    frame = pd.DataFrame(
        [{name: getattr(row, name) for name in PRICE.names} for row in rows], columns=list(PRICE.names)
    )
    return frame.astype({"timestamp": "datetime64[us, UTC]"})


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one.drop(columns="tier", errors="ignore").to_dict("records") == other.to_dict("records")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_interleaving_reads_like_a_dict(rig: Rig, data: st.DataObject) -> None:
    rig.clean()
    model: dict[tuple[str, datetime], Bar] = {}
    bars = st.lists(
        st.builds(bar, st.sampled_from(["A", "B", "é"]), st.integers(0, 200), close=st.sampled_from([10.0, 10.5])),
        min_size=1,
        max_size=5,
    )
    for _ in range(data.draw(st.integers(2, 8))):
        step = data.draw(st.sampled_from(["write", "write", *STEPS]))
        if step == "write":
            for one in data.draw(bars):
                rig.store.record_prices([one])
                model[one.symbol, one.timestamp] = one
        else:
            STEPS[step](rig)
        symbols = data.draw(st.sampled_from([None, ["A"], ["A", "é"], ["none"]]))
        raw = expected(model, symbols)
        assert same(rig.reader.prices(symbols, MOMENT, END), raw)
        interval = data.draw(st.sampled_from(["5m", "1h", "1d"]))
        aggregate = PRICE.aggregate(interval)
        assert aggregate is not None
        found = rig.reader.prices(symbols, "2026-11-20", "2026-11-21", interval)
        assert same(found, compute(PRICE, aggregate, raw))


def test_tiers_and_types(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0)])
    rig.archive_all(PRICE)
    rig.store.record_prices([bar("A", 1)])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", 2)])
    frame = rig.reader.prices("A", MOMENT, END)
    assert frame["tier"].tolist() == ["archive", "live", "live"]
    assert frame.columns.tolist() == [*PRICE.names, "tier"]
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert frame["close"].dtype == "float64"


def test_the_range_is_half_open(rig: Rig) -> None:
    rig.store.record_prices([bar("A", minute) for minute in range(3)])
    for _ in range(2):
        frame = rig.reader.prices(["A"], MOMENT, MOMENT + timedelta(minutes=2))
        assert len(frame) == 2
        rig.archive_all(PRICE)
    assert rig.reader.prices(["A"], MOMENT, MOMENT).empty


def test_fills_are_exact_and_the_second_with_one_key_is_not_shown(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1", price=Decimal("0.1")), fill("o1", "e2"), fill("o2", "e3", side="sell")])
    daily = rig.reader.trades("AAPL", "2026-11-20", "2026-11-21", "1d")
    for _ in range(2):
        frame = rig.reader.trades(["AAPL"], MOMENT, END)
        assert frame[["order_id", "execution_id", "price"]].to_records(index=False).tolist() == [
            ("o1", "e1", Decimal("0.1")),
            ("o2", "e3", Decimal("11.25")),
        ]
        rig.archive_all(TRADE)
    after = rig.reader.trades("AAPL", "2026-11-20", "2026-11-21", "1d")
    assert same(after, daily.drop(columns="tier"))
    assert after.loc[after["side"] == "buy", "notional"].tolist() == [Decimal(1)]


def test_metrics_by_the_hour(rig: Rig) -> None:
    rig.store.record_metrics([measurement("m", minute, value=float(minute)) for minute in range(90)])
    live = rig.reader.metrics("m", "2026-11-20", "2026-11-21", "1h")
    rig.archive_all(METRICS)
    archived = rig.reader.metrics("m", "2026-11-20", "2026-11-21", "1h")
    assert live["tier"].unique().tolist() == ["live"]
    assert archived["tier"].unique().tolist() == ["archive"]
    assert same(live, archived.drop(columns="tier"))
    assert archived["samples"].tolist() == [60, 30]


def test_latest_is_live_or_archived(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0), bar("B", 1)])
    rig.archive_all(PRICE)
    rig.client.delete("stocks:price:A")
    frame = rig.reader.latest(["A", "B", "none"])
    assert frame[["symbol", "tier"]].to_records(index=False).tolist() == [("A", "archive"), ("B", "live")]


def test_readers_never_miss_or_double_a_row_while_it_is_archived(rig: Rig) -> None:
    stop = threading.Event()
    written = 0
    wrong: list[Any] = []

    def read() -> None:
        reader = MarketData.from_env()
        while not stop.is_set():
            least = written
            frame = reader.prices(["A", "B"], MOMENT, MOMENT + timedelta(days=1))
            counts = frame.groupby("symbol").size()
            if len(frame) < 2 * least or frame.duplicated(["symbol", "timestamp"]).any() or counts.nunique() > 2:
                wrong.append((least, counts.to_dict()))
        reader.close()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for minute in range(25):
        rig.store.record_prices([bar("A", minute), bar("B", minute)])
        written = minute + 1
        rig.archive_all(PRICE)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("start", "end", "interval", "said"),
    [
        ("2026-11-20", "2026-11-19", "raw", "is after end"),
        ("2026-11-20T10:00:00", "2026-11-21", "raw", "has no time zone"),
        ("soon", "2026-11-21", "raw", "must be ISO 8601"),
        ("2026-11-20", "2026-11-21", "2m", "has no interval '2m'; there are raw, 5m, 1h, 1d"),
    ],
)
def test_senseless_questions(rig: Rig, start: str, end: str, interval: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rig.reader.prices("A", start, end, interval)


def test_a_tier_that_is_away_is_an_error(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(LiveTierError, match="does not answer"):
        MarketData.from_env().prices("A", MOMENT, END)
    monkeypatch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres:hidden@127.0.0.1:1/x")
    with pytest.raises(ArchiveTierError, match="does not answer") as caught:
        MarketData.from_env().prices("A", MOMENT, END)
    assert "hidden" not in str(caught.value)
    monkeypatch.delenv("TRADING_DATA_TIMESCALE_URL")
    with pytest.raises(SettingError, match="TRADING_DATA_TIMESCALE_URL is not set"):
        MarketData.from_env()
