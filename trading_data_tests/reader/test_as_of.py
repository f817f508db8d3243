"""What the archive knew at a moment: corrections are history, and a backtest cannot look ahead."""

import math
from datetime import datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_data import Bar
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import BadInput
from trading_data.reader.frames import compute
from trading_data.times import now
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement

END = MOMENT + timedelta(hours=4)
Key = tuple[str, datetime]
History = list[tuple[datetime, Key, Bar]]


def known(history: History, moment: datetime) -> list[Bar]:
    """The newest bar of each key that was archived by then, sorted by key."""
    newest = {key: one for archived, key, one in history if archived <= moment}
    return [newest[key] for key in sorted(newest)]


def frame(bars: list[Bar]) -> pd.DataFrame:
    rows = [{name: getattr(bar, name) for name in PRICE.names} for bar in bars]
    return pd.DataFrame(rows, columns=list(PRICE.names)).astype({"timestamp": "datetime64[us, UTC]"})


def archived_at(rig: Rig) -> datetime:
    moment: datetime = rig.query("select max(archived_at) from archive_ledger")[0][0]
    return moment


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_like_a_list_of_what_was_archived_when(rig: Rig, data: st.DataObject) -> None:
    rig.clean()
    history: History = []
    moments = [now()]
    bars = st.lists(
        st.builds(bar, st.sampled_from(["A", "é"]), st.integers(0, 2), close=st.sampled_from([10.0, 10.1, 11.9])),
        min_size=1,
        max_size=8,
    )
    for _ in range(data.draw(st.integers(1, 3))):
        accepted = data.draw(bars)
        rig.store.record_prices(accepted)
        rig.archive_all(PRICE)
        moment = archived_at(rig)
        history += [(moment, (one.symbol, one.timestamp), one) for one in accepted]
        moments += [moment - timedelta(microseconds=1), moment, now()]
    rig.store.record_prices([bar("A", 0, close=9.5)])
    rig.snapshot(PRICE)
    rig.store.record_prices([bar("A", 3, close=9.5)])
    symbols = data.draw(st.sampled_from([None, ["é"]]))
    for moment in moments:
        expected = [one for one in known(history, moment) if symbols is None or one.symbol in symbols]
        rows = rig.reader.prices(symbols, MOMENT, END, as_of=moment)
        assert rows.drop(columns="tier").to_dict("records") == frame(expected).to_dict("records")
        assert set(rows["tier"]) <= {"archive"}


def test_an_unchanged_entry_before_a_correction(rig: Rig) -> None:
    rig.store.record_prices([bar(close=11.0)])
    rig.archive_all(PRICE)
    moment = archived_at(rig)
    rig.store.record_prices([bar(close=11.0), bar(close=10.5), bar(close=11.0), bar(close=10.0)])
    rig.archive_all(PRICE)
    assert rig.reader.prices("AAPL", MOMENT, END, as_of=moment)["close"].tolist() == [11.0]
    assert rig.account(PRICE).replaced == rig.query("select count(*) from archive_revision")[0][0]


def test_intervals_are_made_from_what_was_known(rig: Rig) -> None:
    first = [bar("A", minute, close=10.0 + minute / 10) for minute in range(12)]
    rig.store.record_prices(first)
    rig.archive_all(PRICE)
    moment = archived_at(rig)
    rig.store.record_prices([bar("A", 3, high=99.0), bar("A", 13)])
    rig.archive_all(PRICE)
    for aggregate in PRICE.aggregates:
        rows = rig.reader.prices("A", "2026-11-20", "2026-11-21", aggregate.interval, as_of=moment)
        expected = compute(PRICE, aggregate, frame(first))
        assert rows.drop(columns="tier").to_dict("records") == expected.to_dict("records")
        before = rig.reader.prices("A", "2026-11-20", "2026-11-21", aggregate.interval, as_of="2026-01-01")
        assert before.columns.tolist() == rows.columns.tolist()
        assert before.dtypes.tolist() == rows.dtypes.tolist()
        assert before.empty


def test_numbers_come_back_exactly(rig: Rig) -> None:
    exact = [Decimal("0.100000000000000006"), Decimal("12345678901234567890.5")]
    floats = [0.1 + 0.2, 5e-324, 1e100, -math.pi, 1e16]
    rig.store.record_trades([fill(f"o{at}", "e", price=price) for at, price in enumerate(exact)])
    rig.store.record_metrics([measurement("m", minute, value=value) for minute, value in enumerate(floats)])
    for dataset in (TRADE, METRICS):
        rig.snapshot(dataset)
        rig.load(dataset)
    moment = archived_at(rig)
    rig.store.record_trades([fill(f"o{at}", "e", symbol="NEW") for at in range(2)])
    rig.store.record_metrics([measurement("m", minute, value=0.5) for minute in range(len(floats))])
    for dataset in (TRADE, METRICS):
        rig.snapshot(dataset)
        rig.load(dataset)
    trades = rig.reader.trades(["AAPL"], MOMENT, END, as_of=moment)
    assert trades["price"].tolist() == exact
    assert trades["quantity"].tolist() == [Decimal(10)] * 2
    assert rig.reader.trades(["NEW"], MOMENT, END, as_of=moment).empty
    assert len(rig.reader.trades(["NEW"], MOMENT, END, as_of=now())) == 2
    rows = rig.reader.metrics(None, MOMENT, END, as_of=moment)
    assert [value.hex() for value in rows["value"]] == [value.hex() for value in floats]
    assert rig.reader.metrics(None, MOMENT, END, as_of=now())["value"].tolist() == [0.5] * len(floats)


def test_a_moment_needs_a_zone(rig: Rig) -> None:
    with pytest.raises(BadInput, match="as_of 2026-11-20T15:00:00 has no time zone"):
        rig.reader.prices("A", MOMENT, END, as_of="2026-11-20T15:00:00")
