"""Answers in small: tiers, types, ranges, and questions that make no sense."""

from datetime import timedelta
from decimal import Decimal

import pandas as pd
import pytest
from psycopg2.sql import SQL, Composed

from trading_data import MarketData
from trading_data.archive.database import Archive
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import ArchiveTierError, BadInput, LiveTierError, SettingError
from trading_data_tests.operations.maintenance.ages import several_sessions
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

END = MOMENT + timedelta(hours=4)


def same(frame: pd.DataFrame, other: pd.DataFrame) -> bool:
    return frame.drop(columns="tier", errors="ignore").to_dict("records") == other.to_dict("records")


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


def test_fills_are_exact_and_each_of_one_moment_is_shown(rig: Rig) -> None:
    rig.store.record_trades([fill("o1", "e1", price=Decimal("0.1")), fill("o1", "e2"), fill("o2", "e3", side="sell")])
    daily = rig.reader.trades("AAPL", "2026-11-20", "2026-11-21", "1d")
    for _ in range(2):
        frame = rig.reader.trades(["AAPL"], MOMENT, END)
        assert frame[["order_id", "execution_id", "price"]].to_records(index=False).tolist() == [
            ("o1", "e1", Decimal("0.1")),
            ("o1", "e2", Decimal("11.25")),
            ("o2", "e3", Decimal("11.25")),
        ]
        assert frame["timestamp"].tolist() == [MOMENT] * 3
        rig.archive_all(TRADE)
    after = rig.reader.trades("AAPL", "2026-11-20", "2026-11-21", "1d")
    assert same(after, daily.drop(columns="tier"))
    assert after.loc[after["side"] == "buy", "notional"].tolist() == [Decimal("113.5")]


def test_metrics_by_the_hour(rig: Rig) -> None:
    rig.store.record_metrics([measurement("m", minute, value=float(minute)) for minute in range(90)])
    live = rig.reader.metrics("m", "2026-11-20", "2026-11-21", "1h")
    rig.archive_all(METRICS)
    archived = rig.reader.metrics("m", "2026-11-20", "2026-11-21", "1h")
    assert live["tier"].unique().tolist() == ["live"]
    assert archived["tier"].unique().tolist() == ["archive"]
    assert same(live, archived.drop(columns="tier"))
    assert archived["samples"].tolist() == [60, 30]


@pytest.mark.parametrize(
    ("start", "end", "interval", "said"),
    [
        ("2026-11-20", "2026-11-19", "raw", "is after end"),
        ("2026-11-20T10:00:00", "2026-11-21", "raw", "has no time zone"),
        ("soon", "2026-11-21", "raw", "is not an ISO 8601 time"),
        ("2026-11-20", "2026-11-21", "2m", "has no interval '2m'; there are raw, 5m, 15m, 30m, 1h, 4h, 1d"),
    ],
)
def test_senseless_questions(rig: Rig, start: str, end: str, interval: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rig.reader.prices("A", start, end, interval)


@several_sessions
def test_connections_that_the_archive_closed_between_two_reads_are_replaced(rig: Rig) -> None:
    rig.store.record_prices([bar("A", 0)])
    closing = """
        select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and application_name = 'trading_data'
    """
    beside = Archive(rig.archive.url)
    for _ in range(2):
        assert len(rig.reader.prices("A", MOMENT, END)) == 1
        assert beside.ask(Composed([SQL(closing)]), {})[0][0] > 0
    assert len(rig.reader.prices("A", MOMENT, END)) == 1
    beside.close()


def test_a_tier_that_is_away_is_an_error(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TRADING_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
        with pytest.raises(LiveTierError, match="does not answer"):
            MarketData.from_env().prices("A", MOMENT, END)
    monkeypatch.setenv("TRADING_DATA_TIMESCALE_URL", "postgresql://postgres:hidden@127.0.0.1:1/x")
    with pytest.raises(ArchiveTierError, match="does not answer") as caught:
        MarketData.from_env().prices("A", MOMENT, END)
    assert "hidden" not in str(caught.value)
    monkeypatch.delenv("TRADING_DATA_TIMESCALE_URL")
    with pytest.raises(SettingError, match="TRADING_DATA_TIMESCALE_URL is not set"):
        MarketData.from_env()
