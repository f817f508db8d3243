"""Commands packed by this package: same texts, same replies, and nothing of one exchange is left for the next."""

import json
import signal
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from trading_data import LiveStore
from trading_data.datasets import METRICS, PRICE, TRADE
from trading_data.datasets.declaration import Dataset
from trading_data.datasets.rules import Span
from trading_data.errors import BadInput, LiveTierError
from trading_data.live.connection import connect
from trading_data.live.pipeline import exchange
from trading_data.live.validation import checked_fields, checked_records
from trading_data_tests.live.servers import Node, wait
from trading_data_tests.rig import EARLIEST, MOMENT, bar, fill, measurement

SPAN = Span.at(MOMENT, EARLIEST)


@pytest.mark.parametrize(
    ("dataset", "record"),
    [
        (PRICE, bar()),
        (PRICE, bar(open=9.25, low=9.25, high=9.25, close=9.25, volume=0.0)),
        (PRICE, bar(volume=1e22)),
        (PRICE, bar(volume=np.float64(1e-9))),
        (PRICE, bar(close=10)),
        (PRICE, bar(close=Decimal("10.10"))),
        (PRICE, bar(timestamp=datetime(2026, 11, 20, 10, tzinfo=timezone(timedelta(hours=-5))))),
        (PRICE, bar(symbol="Škoda €")),
        (PRICE, {**{name: getattr(bar(), name) for name in PRICE.names}, "timestamp": "2026-11-20T15:00:00Z"}),
        (PRICE, {name: getattr(bar(), name) for name in PRICE.names}),
        (TRADE, fill()),
        (METRICS, measurement(unit="")),
    ],
)
def test_what_a_glance_passes_is_what_the_rules_pass(dataset: Dataset, record: object) -> None:
    assert checked_records(dataset, [record], SPAN) == [checked_fields(dataset, record, 0, SPAN)]


@pytest.mark.parametrize(
    "changed",
    [
        {"open": float("inf")},
        {"volume": -0.5},
        {"volume": 1e101},
        {"volume": 10**400},
        {"volume": float("nan")},
        {"high": 8.0},
        {"symbol": " "},
        {"symbol": "A\nB"},
        {"source": "x" * 1025},
        {"source": "\ud800"},
        {"timestamp": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"close": None},
        {"close": "1 dollar"},
    ],
)
def test_what_the_rules_refuse_no_glance_passes(changed: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as single:
        checked_fields(PRICE, bar(**changed), 1, SPAN)
    with pytest.raises(BadInput) as among:
        checked_records(PRICE, [bar(), bar(**changed)], SPAN)
    assert str(among.value) == str(single.value)


def test_a_publication_is_the_record_as_json_dumps_writes_it(store: LiveStore, server: Node) -> None:
    with closing(server.client.pubsub()) as pubsub:
        pubsub.psubscribe("*")
        assert pubsub.get_message(timeout=2)
        record = bar('Š "€"', source="a\\b")
        store.record_prices([record])
        message = pubsub.get_message(timeout=2)
    assert message is not None
    assert message["data"].decode() == json.dumps(checked_fields(PRICE, record, 0, SPAN))


def test_ids_are_in_the_order_of_the_records(store: LiveStore, server: Node) -> None:
    ids = store.record_prices([bar(f"S{at % 7}", at // 7 - at % 2) for at in range(1_203)])
    assert len(ids) == 1_203
    for at in (0, 1, 499, 500, 501, 1_202):
        found = server.client.xrange(f"journal:price:S{at % 7}", ids[at], ids[at])
        moment = MOMENT + timedelta(minutes=at // 7 - at % 2)
        assert found[0][1][b"timestamp"].decode() == moment.astimezone(UTC).isoformat()


def test_a_key_of_another_type_refuses_its_own_record_only(store: LiveStore, server: Node) -> None:
    server.client.set("journal:price:B", "x")
    with pytest.raises(LiveTierError, match="refused 1 record: WRONGTYPE"):
        store.record_prices([bar("A"), bar("B"), bar("C")])
    assert [server.client.xlen(f"journal:price:{name}") for name in "AC"] == [1, 1]
    server.client.delete("journal:price:B")
    server.client.set("stocks:price:A", "x")
    with pytest.raises(LiveTierError, match="refused the latest value of some records: WRONGTYPE"):
        store.record_prices([bar("A")])
    assert len(store.record_prices([bar("B")])) == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew(store: LiveStore, server: Node) -> None:
    store.record_prices([bar("A")])
    assert server.client.client_kill_filter(_type="normal", skipme=True) > 0
    store.record_prices([bar("A", 1)])
    assert server.client.xlen("journal:price:A") == 2


def test_a_connection_that_is_lost_in_the_middle_is_made_anew(store: LiveStore, server: Node) -> None:
    store.record_prices([bar("A")])
    found: list[list[str]] = []
    server.client.client_pause(20_000, all=False)
    writer = threading.Thread(target=lambda: found.append(store.record_prices([bar("A", 1), bar("B", 1)])))
    writer.start()
    wait(lambda: server.client.info("clients")["blocked_clients"] > 0)
    assert server.client.client_kill_filter(_type="normal", skipme=True) > 0
    server.client.client_unpause()
    writer.join(10)
    assert [len(ids) for ids in found] == [2]
    assert [server.client.xlen(f"journal:price:{name}") for name in "AB"] == [2, 1]


def test_a_server_that_says_nothing_is_an_error_and_its_late_replies_are_nobodys(server: Node) -> None:
    with closing(LiveStore(connect(server.url, timeout=0.2, retries=0))) as store:
        store.record_prices([bar("A")])
        server.send(signal.SIGSTOP)
        try:
            with pytest.raises(LiveTierError, match="does not answer"):
                store.record_prices([bar("A", 1)])
        finally:
            server.send(signal.SIGCONT)
        (entry_id,) = store.record_prices([bar("B", 2)])
        assert server.client.xrange("journal:price:B", entry_id, entry_id)


def test_what_cannot_be_packed_leaves_no_replies_behind(store: LiveStore) -> None:
    with pytest.raises(TypeError):
        exchange(store.client, [("PING",)] * 600 + [("SET", "a", object())])
    assert exchange(store.client, [("ECHO", "x"), ("GET", "a"), ("INCR", "n")]) == [b"x", None, 1]
