"""Records with defaults and hostile names, for the tests of the live tier's state.

Belongs here: builders. Does not: tests.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from trading_data import Fill, Indicators, LiveStore, MarketContext, Position, Sentiment, Signal
from trading_data.live.writes import is_cluster
from trading_data_tests.rig import MOMENT, bar, fill, measurement


@dataclass(frozen=True)
class Tier:
    """A store, and the client underneath, untyped: redis-py types every reply as a union of all it could be."""

    store: LiveStore

    @property
    def client(self) -> Any:
        """The client."""
        return self.store.client

    def server_of(self, name: str) -> Any:
        """The client of the one server that has a key, which is where its publications are made."""
        if not is_cluster(self.client):
            return self.client
        return self.client.get_redis_connection(self.client.get_node_from_key(name))

    @contextmanager
    def hearing(self, *channels: str) -> Iterator[Callable[[], list[tuple[str, Any]]]]:
        """Publications on channels from now on; call what it gives for those up to this moment, channel and JSON.

        Each is heard at the server that has the key: between those of a cluster a message may get lost, now and then.
        """
        servers: dict[Any, list[str]] = {}
        for channel in channels:
            servers.setdefault(self.server_of(channel), []).append(channel)
        with ExitStack() as stack:
            ears = [stack.enter_context(_listening(server, heard)) for server, heard in servers.items()]
            yield lambda: [message for ear in ears for message in ear()]


@contextmanager
def _listening(server: Any, channels: list[str]) -> Iterator[Callable[[], list[tuple[str, Any]]]]:
    """What one server says on channels, until a last word that nobody else has."""
    over = f"over {uuid4()}"
    with closing(server.pubsub()) as pubsub:
        pubsub.subscribe(*channels, over)
        for _ in (*channels, over):
            assert pubsub.get_message(timeout=5)

        def heard() -> list[tuple[str, Any]]:
            server.publish(over, "")
            out = []
            while (message := pubsub.get_message(timeout=5)) and message["channel"].decode("utf-8", "replace") != over:
                out.append((message["channel"].decode("utf-8", "surrogateescape"), json.loads(message["data"])))
            return out

        yield heard


HOSTILE = ("*", "[a-z]", "a?b", "A:B", "positions:active:AAPL", "two words", "\\", "{symbol}", "日本", "\x00", "ÅÄÖ:*")
"""Symbols that are data all the same: glob characters, separators, placeholders, control characters."""


def indicators(symbol: str = "AAPL", **values: float) -> Indicators:
    """Two indicators, unless others are given."""
    return Indicators(symbol, MOMENT, values or {"rsi": 61.5, "sma_20": 0.1}, {"by": "test"})


def sentiment(symbol: str = "AAPL", score: float = -0.25) -> Sentiment:
    """A sentiment."""
    return Sentiment(symbol, MOMENT, score, 12, "Apple falls: “again”", {"source": "news"})


def context() -> MarketContext:
    """A market's context."""
    return MarketContext(MOMENT + timedelta(microseconds=1), {"technology": 0.012, "advancing": 311.0})


def position(symbol: str = "AAPL", quantity: str = "10", **values: Any) -> Position:
    """A long position without stop and target."""
    return Position(symbol, Decimal(quantity), Decimal("11.25"), **values)


def signal(symbol: str = "AAPL", signal_type: str = "momentum", strength: float = 0.75) -> Signal:
    """A signal."""
    return Signal(signal_type, symbol, MOMENT, "long", strength, {"why": "breakout"})


def write_all(store: LiveStore) -> None:
    """Something under every kind of key that the store has a setter for."""
    store.record_prices([bar()])
    store.record_trades([fill()])
    store.record_metrics([measurement()])
    store.set_indicators(indicators())
    store.set_sentiment(sentiment())
    store.set_market_context(context())
    store.set_watchlist(["AAPL"])
    store.set_candidates({"AAPL": 1.5})
    store.set_active_positions(position())
    store.set_monitored_positions(position())
    store.set_signals(signal())
    store.set_system_state({"feed": "running"})


def journalled(tier: Tier) -> list[str]:
    """The execution ids in the journal of fills, in order."""
    return [fields[b"execution_id"].decode() for _, fields in tier.client.xrange("journal:trade")]


def sold(execution_id: str = "e2", quantity: str = "10", **values: Any) -> Fill:
    """A fill that sells."""
    return fill("o2", execution_id, side="sell", quantity=Decimal(quantity), **values)
