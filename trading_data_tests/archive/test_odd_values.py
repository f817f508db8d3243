"""Legal values that look wrong are archived unchanged and reported; prices below zero are facts."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from trading_data.archive.quarantine.queries import retry
from trading_data.archive.verify.odd_values import odd_values
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data_tests.rig import EARLIEST, MOMENT, Rig, bar, fill

DAYS = [MOMENT.date()]


def test_prices_below_zero_are_archived_and_look_right(rig: Rig) -> None:
    future: dict[str, Any] = {"open": -10.5, "high": 1.25, "low": -40.32, "close": -37.63}
    rig.store.record_prices(
        [bar("CL", **future), bar("CL", 1, **future), bar("SPREAD", open=-1.25, high=-1, low=-1.5, close=-1.1)]
    )
    rig.store.record_trades([fill(symbol="CL", price=Decimal("-37.63"))])
    rig.archive_all(PRICE)
    rig.archive_all(TRADE)
    assert rig.query("select close from price_data order by 1") == [(-37.63,), (-37.63,), (-1.1,)]
    assert rig.query("select price from trade_data") == [(Decimal("-37.63"),)]
    assert rig.query("select low, close from price_1d where symbol = 'CL'") == [(-40.32, -37.63)]
    assert rig.query("select vwap, notional from trade_1d") == [(Decimal("-37.63"), Decimal("-376.30"))]
    assert odd_values(rig.archive, PRICE, DAYS) == []


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"open": 13.0}, "open or close outside high and low"),
        ({"close": 8.0}, "open or close outside high and low"),
        ({"open": 600.0, "high": 600.0, "low": 600.0, "close": 600.0}, "a price many times its neighbour's"),
        ({"open": 0.1, "high": 0.1, "low": 0.1, "close": 0.1}, "a price many times its neighbour's"),
        ({"high": 1200.0}, "a price many times its neighbour's"),
        ({"volume": 0.0}, "volume 0 and yet a range"),
    ],
)
def test_what_looks_wrong_is_archived_and_told(rig: Rig, changed: dict[str, Any], kind: str) -> None:
    rig.store.record_prices([bar("A"), bar("A", 1, **changed), bar("B"), bar("B", 1)])
    loaded = rig.archive_all(PRICE)
    assert rig.query("select count(*) from price_data") == [(4,)]
    (odd,) = odd_values(rig.archive, PRICE, DAYS, [batch.batch_id for batch in loaded])
    assert (odd.kind, odd.rows, odd.subject, odd.moment) == (kind, 1, "A", MOMENT + timedelta(minutes=1))
    assert "`trading-data query prices A --start 2026-11-20 --end 2026-11-21`" in odd.sentence()
    assert odd_values(rig.archive, PRICE, DAYS, [-1]) == odd_values(rig.archive, METRICS, DAYS) == []
    far = [*DAYS, MOMENT.date() - timedelta(days=9)]
    assert odd_values(rig.archive, PRICE, far) == [odd]


def test_an_entry_in_quarantine_with_prices_below_zero_is_retried(rig: Rig) -> None:
    low = {"open": "-1", "high": "-1", "low": "-2", "close": "-2", "volume": "-5", "source": "t"}
    rig.entry("journal:price:OLD", {"timestamp": MOMENT.isoformat(), **low})
    rig.snapshot(PRICE)
    rig.load(PRICE)
    ((number,),) = rig.query("select quarantine_id from archive_quarantine")
    retry(rig.archive, rig.intake, ids=[number], earliest=EARLIEST, edits={"volume": "5"})
    rig.load(PRICE)
    assert rig.query("select symbol, close, volume from price_data") == [("OLD", -2.0, 5.0)]
