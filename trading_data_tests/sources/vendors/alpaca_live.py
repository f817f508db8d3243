"""A local WebSocket server that speaks the protocol of Alpaca's stream, and says what the test tells it to.

Belongs here: the protocol. Does not: history (`alpaca_history`), and assertions.
"""

import json
import socket
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from trading_data_tests.sources.vendors.alpaca_history import KEY, SECRET

LONGEST = 20.0
"""Seconds that anything may take before a test gives up."""


class AlpacaLive:
    """One connection at a time is spoken to, the newest.

    Attributes:
        refusals: errors that meet the next connections when they authenticate; a number closes the connection at once.
        trades_refused: the error for a subscription to trades, if any.
        asked: every message that came, in order, without those of authentication.
    """

    def __init__(self) -> None:
        self.refusals: deque[Mapping[str, Any] | int] = deque()
        self.trades_refused: Mapping[str, Any] | None = None
        self.asked: list[dict[str, Any]] = []
        self.connected = 0
        self._current: ServerConnection | None = None
        self._changed = threading.Condition()
        self._server = serve(self._speak, "127.0.0.1", 0, compression=None)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self.cut()

    def send(self, *messages: Mapping[str, Any]) -> None:
        """One frame to the connection that subscribed last."""
        with self._changed:
            current = self._current
        assert current is not None
        current.send(json.dumps(messages))

    def cut(self) -> None:
        """End the connection without a word."""
        with self._changed:
            current, self._current = self._current, None
        if current is not None:
            with suppress(OSError):
                current.socket.shutdown(socket.SHUT_RDWR)

    def wait_for(self, connections: int) -> None:
        """Until that many connections have ever subscribed, and the last of them is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.connected >= connections and self._current, LONGEST)

    def symbols(self, channel: str) -> list[list[str]]:
        """Of each message that was about the channel, its symbols."""
        return [asked[channel] for asked in self.asked if channel in asked]

    def _speak(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed, OSError):
            refusal = self.refusals.popleft() if self.refusals else None
            if isinstance(refusal, int):
                connection.close(refusal)
                return
            _say(connection, {"T": "success", "msg": "connected"})
            login = json.loads(connection.recv(LONGEST))
            if refusal is None and (login["action"], login["key"], login["secret"]) != ("auth", KEY, SECRET):
                refusal = {"code": 402, "msg": f"auth failed for {login['key']}"}
            if refusal is not None:
                _say(connection, {"T": "error", **refusal})
                return
            _say(connection, {"T": "success", "msg": "authenticated"})
            for message in connection:
                self._answer(connection, json.loads(message))

    def _answer(self, connection: ServerConnection, asked: dict[str, Any]) -> None:
        self.asked.append(asked)
        if "trades" in asked and asked["action"] == "subscribe" and self.trades_refused:
            return _say(connection, {"T": "error", **self.trades_refused})
        names = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
        _say(connection, {"T": "subscription", **{name: asked.get(name, []) for name in names}})
        if "bars" in asked and asked["action"] == "subscribe":
            with self._changed:
                self.connected += self._current is not connection
                self._current = connection
                self._changed.notify_all()
        return None


def _say(connection: ServerConnection, message: Mapping[str, Any]) -> None:
    connection.send(json.dumps([message]))
