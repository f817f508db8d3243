"""A producer with an earlier first day than the archive: what the load refuses waits until the days are equal, then it is taken."""

from datetime import date, timedelta

from trading_data import LiveStore
from trading_data.archive.quarantine.queries import retry_no_longer_rejected
from trading_data.datasets import PRICE
from trading_data_tests.rig import EARLIEST, Rig, bar


def test_what_an_earlier_producer_wrote_is_retried_with_its_day(rig: Rig) -> None:
    early = EARLIEST - timedelta(days=30)
    store = LiveStore(rig.client, first_day=date(early.year, early.month, early.day))
    store.record_prices([bar("OLD", timestamp=early), bar("NEW")])
    (loaded,) = rig.archive_all(PRICE)
    assert (loaded.inserted, loaded.quarantined) == (1, 1)
    ((reason, payload),) = rig.query("select reason, payload from archive_quarantine")
    assert f"is before the first day partition {EARLIEST:%Y-%m-%d}" in reason
    assert "set TRADING_DATA_START to an earlier day for the archive and every producer" in reason
    assert early.isoformat() in str(payload)
    assert retry_no_longer_rejected(rig.archive, rig.intake, PRICE, earliest=EARLIEST).batches == ()
    assert retry_no_longer_rejected(rig.archive, rig.intake, PRICE, earliest=early + timedelta(days=1)).batches
    (refused,) = rig.load(PRICE)
    assert (refused.inserted, refused.quarantined) == (0, 0)
    assert retry_no_longer_rejected(rig.archive, rig.intake, PRICE, earliest=early).batches
    rig.load(PRICE)
    assert rig.query("select symbol from price_data order by 1") == [("NEW",), ("OLD",)]
    assert retry_no_longer_rejected(rig.archive, rig.intake, PRICE, earliest=early).batches == ()
