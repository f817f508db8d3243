"""The part of a subscription that does no input and output: its state, and what time and messages do to it.

Belongs here: what the plain and the asynchronous form have in common. Does not: connections (`live.subscribe`).
"""

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
"""How long it may take until `close` from another thread is seen."""
CONNECT_SECONDS = 5.0
"""How long connecting and each confirmation may take."""
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
"""Seconds between attempts to connect; the last one for ever."""
_CHANNELS_PER_COMMAND = 500
LOST = (RedisError, RedisClusterException, OSError, LiveTierError)
"""Errors after which a connection is given up and made anew."""


class Listener:
    """What both forms share: what is wanted, what waits to be handed out, and how it stands with the connection."""

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
            client: from `connect`; where it points, connections of the subscription's own are made.
            symbols: what it is about. Kinds without a symbol in their name (`system`, …) come whatever it says.
            kinds: see `live.channels.KINDS`.
            heartbeat: seconds without a message after which the server is asked whether it is there, and again as many
                after which it is held to be gone.

        Raises:
            BadInput: no symbols, an unknown kind, or `client` was not made by `connect`.
            LiveTierError: the server is away; only where it never was there before.
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
        """Whether it was closed: nothing comes any more."""
        return self._closed.is_set()

    def _heard(self) -> None:
        self._heard_at, self._heard_when, self._asked = time.monotonic(), now(), False

    def _take(self, message: dict[str, Any]) -> bool:
        """Take a message in; whether it confirms a channel or pattern."""
        self._heard()
        if message["type"] in ("message", "pmessage"):
            update = self._wanted.update(message["channel"], message["data"], self._heard_when)
            if update is not None:
                self._waiting.append(update)
        return message["type"] in ("subscribe", "psubscribe")

    def _should_ask(self) -> bool:
        """After a wait in which nothing came: whether to ask if the server is there. Raises if it did not answer that."""
        quiet = time.monotonic() - self._heard_at
        if self._asked and quiet > 2 * self._heartbeat:
            raise RedisTimeoutError("nothing was heard, and no answer came")
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
        """Give the connection up; what is to be closed of it."""
        self._since = self._since or self._heard_when
        pubsub, server, self._pubsub, self._server = self._pubsub, self._server, None, None
        self._next_attempt = time.monotonic() + _PAUSES[min(self._attempts, len(_PAUSES) - 1)]
        self._attempts += 1
        return pubsub, server

    def _gap(self) -> tuple[datetime, datetime] | None:
        """All channels are confirmed: the gap that ends with it, if there was one."""
        return (self._since, now()) if self._since else None

    def _connected(self, missed: Missed | None) -> None:
        """What was missed comes first; what came meanwhile, in attempts that failed after all too, comes after it."""
        if missed is not None:
            self._waiting.appendleft(missed)
        self._since, self._attempts = None, 0

    def _next(self) -> Update | Missed | None:
        """What is to be handed out now, if anything: nothing while it is not known what was missed before it."""
        return self._waiting.popleft() if self._waiting and self._since is None else None

    def _options(self, url: str, retry: object) -> dict[str, Any]:
        """A connection that was lost has to be seen to be lost, so nothing is tried again by itself."""
        return {**socket_options(url, CONNECT_SECONDS), "health_check_interval": 0, "retry": retry}
