"""The state of a subscription, plain or asynchronous, without input and output: how time and messages change it."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from trading_data.errors import LiveTierError
from trading_data.live.channels import EVERY_BAR, Update, wanted
from trading_data.live.connection import Client, socket_options
from trading_data.live.gap_recovery import Missed
from trading_data.times import now

HEARTBEAT_SECONDS = 10.0
SLICE_SECONDS = 0.25
"""The longest delay until `close` from another thread takes effect."""
CONNECT_SECONDS = 5.0
"""The time-out of connecting and of each confirmation."""
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
"""Seconds between attempts to connect; the last one repeats."""
_CHANNELS_PER_COMMAND = 500
LOST = (RedisError, RedisClusterException, OSError, LiveTierError)
"""Errors after which a connection is replaced."""


class Listener:
    """Scope, queue of updates and state of the connection of a subscription."""

    def __init__(
        self,
        client: Client,
        symbols: str | Iterable[str] | None,
        kinds: str | Iterable[str] = EVERY_BAR,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        """Listen for `symbols` (one, several, or None for all) and `kinds` (names in `KEYS`; default: every bar).

        Args:
            client: from `connect`; the subscription makes its own connections to the same server.
            symbols: the symbols in scope. Kinds without a symbol in their name (`system`, …) are delivered regardless.
            kinds: see `live.channels.KINDS`.
            heartbeat: seconds without a message after which the server is pinged, and without a reply to the ping after
                which the connection counts as lost.

        Raises:
            BadInput: no symbols, an unknown kind, or `client` was not made by `connect`.
            LiveTierError: the server is unavailable at the first connection; later the subscription waits for it.
        """
        self._client, self._wanted, self._heartbeat = client, wanted(symbols, kinds), heartbeat
        self._waiting: deque[Update | Missed] = deque()
        self._closed = threading.Event()
        self._server: Any = None
        self._pubsub: Any = None
        self._since: datetime | None = None
        self._attempts, self._next_attempt = 0, 0.0
        self._heard()

    @property
    def closed(self) -> bool:
        """Whether the subscription was closed: no more updates arrive."""
        return self._closed.is_set()

    def _heard(self) -> None:
        self._heard_at, self._heard_when, self._asked = time.monotonic(), now(), False

    def _take(self, message: dict[str, Any]) -> bool:
        """Process a message; returns whether it confirms a channel or pattern."""
        self._heard()
        if message["type"] in ("message", "pmessage"):
            update = self._wanted.update(message["channel"], message["data"], self._heard_when)
            if update is not None:
                self._waiting.append(update)
        return message["type"] in ("subscribe", "psubscribe")

    def _should_ask(self) -> bool:
        """After a wait without a message: whether to ping the server. Raises if the last ping got no reply."""
        quiet = time.monotonic() - self._heard_at
        if self._asked and quiet > 2 * self._heartbeat:
            raise RedisTimeoutError("no message arrived, and no reply to the ping")
        if self._asked or quiet <= self._heartbeat:
            return False
        self._heard_at = time.monotonic() - self._heartbeat
        self._asked = True
        return True

    def _commands(self) -> Iterator[tuple[str, tuple[bytes, ...]]]:
        for name, every in (("subscribe", self._wanted.channels), ("psubscribe", self._wanted.patterns)):
            for start in range(0, len(every), _CHANNELS_PER_COMMAND):
                yield name, every[start : start + _CHANNELS_PER_COMMAND]

    def _forget(self) -> tuple[Any, Any]:
        """Drop the connection; returns its parts, to be closed."""
        self._since = self._since or self._heard_when
        pubsub, server, self._pubsub, self._server = self._pubsub, self._server, None, None
        self._next_attempt = time.monotonic() + _PAUSES[min(self._attempts, len(_PAUSES) - 1)]
        self._attempts += 1
        return pubsub, server

    def _gap(self) -> tuple[datetime, datetime] | None:
        """The gap that ends now that all channels are confirmed, if there was one."""
        return (self._since, now()) if self._since else None

    def _connected(self, missed: Missed | None) -> None:
        """Queue the missed updates before those that arrived meanwhile, in failed attempts to connect too."""
        if missed is not None:
            self._waiting.appendleft(missed)
        self._since, self._attempts = None, 0

    def _next(self) -> Update | Missed | None:
        """The next update, if any; none while the missed updates before it are not known yet."""
        return self._waiting.popleft() if self._waiting and self._since is None else None

    def _options(self, url: str, retry: object) -> dict[str, Any]:
        """Options of the subscription's connections: without retries, so that a lost connection is noticed."""
        return {**socket_options(url, CONNECT_SECONDS), "health_check_interval": 0, "retry": retry}
