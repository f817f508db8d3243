"""What producers write: journal, latest value, publication; and what is refused at the door."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from trading_data import LiveStore
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.errors import BadInput, LiveTierError, LiveTierFull
from trading_data_tests.rig import MOMENT, Rig, bar, fill, measurement


def raw(rig: Rig) -> Any:
    """The store's client, untyped: redis-py types every reply as a union of all it could be."""
    return rig.store.client


def test_a_bar_is_journalled_set_and_published(rig: Rig) -> None:
    pubsub = raw(rig).pubsub()
    pubsub.subscribe("stocks:price:AAPL")
    assert pubsub.get_message(timeout=2)
    (entry_id,) = rig.store.record_prices([bar("AAPL", volume=1e22, close=0.1)])
    ((found_id, fields),) = raw(rig).xrange("journal:price:AAPL")
    assert found_id.decode() == entry_id
    assert {name.decode() for name in fields} == set(PRICE.fields)
    assert fields[b"volume"] == b"10000000000000000000000"
    assert raw(rig).hgetall("stocks:price:AAPL") == fields
    assert 0 < raw(rig).ttl("stocks:price:AAPL") <= 86400
    assert raw(rig).ttl("journal:price:AAPL") == -1
    message = pubsub.get_message(timeout=2)
    assert message is not None
    assert message["channel"] == b"stocks:price:AAPL"
    pubsub.close()


def test_a_late_bar_leaves_the_latest_value_alone(rig: Rig) -> None:
    rig.store.record_prices([bar("AAPL", 5, close=11.5), bar("AAPL", 1), bar("AAPL", 5, close=11.25)])
    assert rig.store.latest_bars(["AAPL", "MSFT"])["AAPL"].close == 11.25
    assert raw(rig).xlen("journal:price:AAPL") == 3


def test_fills_and_measurements(rig: Rig) -> None:
    rig.store.record_trades([fill(quantity=Decimal("0.000000000000000001"))])
    rig.store.record_metrics([measurement("latency", value=-1e-7)])
    assert raw(rig).xrange("journal:trade")[0][1][b"quantity"] == b"0.000000000000000001"
    assert raw(rig).hget("metrics:performance", "latency") == b"-0.0000001"
    assert raw(rig).ttl("metrics:performance") == -1


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (bar(open=float("nan")), r"bars\[1\]\.open is nan, not a finite number"),
        (bar(volume=-1.0), r"bars\[1\]\.volume -1\.0 is below 0: it must be at least 0; nothing was written"),
        (bar(high=8.0), r"bars\[1\]\.low 9\.0 is above high 8\.0"),
        (bar(symbol=" "), r"bars\[1\]\.symbol ' ' is empty"),
        (bar(timestamp=datetime(2026, 1, 1)), r"bars\[1\]\.timestamp 2026-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"symbol": "AAPL"}, r"bars\[1\]: missing \['close'"),
        ("AAPL", r"bars\[1\] is a str"),
    ],
)
def test_bad_records_are_refused_at_the_door_and_none_is_written(rig: Rig, record: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rig.store.record_prices([bar(), record])
    assert raw(rig).dbsize() == 0


def test_a_mapping_is_as_good_as_a_record(rig: Rig) -> None:
    rig.store.record_metrics([{"metric_name": "m", "timestamp": "2026-11-20T16:00:00+01:00", "value": 1, "unit": ""}])
    assert raw(rig).xrange("journal:metrics")[0][1][b"timestamp"] == b"2026-11-20T15:00:00+00:00"


def test_a_full_server_is_an_error_that_says_what_was_taken(rig: Rig) -> None:
    rig.store.record_prices([bar()])
    limit = rig.client.config_get("maxmemory")["maxmemory"]
    rig.client.config_set("maxmemory", rig.client.info("memory")["used_memory"] + 200_000)
    bars = [bar("S", -minute) for minute in range(20_000)]
    try:
        with pytest.raises(LiveTierFull, match="Run `trading-data archive`") as caught:
            rig.store.record_prices(bars)
    finally:
        rig.client.config_set("maxmemory", str(limit))
    assert len(caught.value.refused) + rig.accepted(PRICE) == len(bars) + 1
    rig.store.record_prices([bars[at] for at in caught.value.refused])
    rig.archive_all(PRICE)
    assert rig.query("select count(*) from price_data where symbol = 'S'") == [(20_000,)]


def test_a_server_that_is_away_is_one_clear_error() -> None:
    with pytest.raises(LiveTierError, match=r"redis://127\.0\.0\.1:1/0 does not answer"):
        LiveStore.from_url("redis://127.0.0.1:1/0").record_prices([bar()])


def test_channels_of_the_other_datasets(rig: Rig) -> None:
    pubsub = raw(rig).pubsub()
    pubsub.subscribe("journal:trade", "metrics:performance")
    for _ in range(2):
        assert pubsub.get_message(timeout=2)
    rig.store.record(TRADE, [fill()])
    rig.store.record(METRICS, [measurement()])
    messages = [pubsub.get_message(timeout=2), pubsub.get_message(timeout=2)]
    assert [message["channel"] for message in messages if message] == [b"journal:trade", b"metrics:performance"]
    pubsub.close()


def test_latest_is_the_newest_by_its_own_time(rig: Rig) -> None:
    rig.store.record_prices([bar("AAPL", timestamp=MOMENT.astimezone(UTC) + timedelta(seconds=1)), bar("AAPL")])
    assert rig.store.latest_bars(["AAPL"])["AAPL"].timestamp == MOMENT + timedelta(seconds=1)


def test_one_record_is_taken_as_several_are(rig: Rig) -> None:
    assert len(rig.store.record_prices(bar("A"))) == 1
    assert len(rig.store.record_prices({name: getattr(bar("A", 1), name) for name in PRICE.names})) == 1
    assert len(rig.store.record_trades(fill())) == 1
    assert len(rig.store.record_metrics(measurement())) == 1
