"""One connection to Alpaca's stream: connected, authenticated, subscribed, and every message that came over it.

It uses `websockets`, not alpaca-py's own class: that one reconnects by itself and does not report it, which leaves a gap that
is never filled, and it logs an error where it should stop (it retries a wrong key for ever).

Only what fits into the connection's queue is read ahead. When the live tier is full, the feed stops reading, Alpaca ends the
connection sooner or later, and history fills the gap: so memory stays bounded and nothing is lost.

Belongs here: the protocol, and the bars in its messages. Does not: what is missed between two connections
(`sources.feeds.alpaca`).
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from trading_data.datasets import PRICE
from trading_data.datasets.codec import check
from trading_data.datasets.records import Bar
from trading_data.errors import SettingError, VendorError, VendorRefused, VendorUnavailable
from trading_data.sources.vendors.alpaca import bars_table
from trading_data.sources.vendors.alpaca_account import FEED, KEYS, SECRETS, STREAM_URL, AlpacaAccount
from trading_data.times import now

Message = Mapping[str, Any]

BARS = ("bars", "updatedBars")
TRADES = ("trades",)
"""Only subscribers of trades get their corrections and cancels."""
_SYMBOLS = 500
"""Symbols per subscription: Alpaca accepts messages of up to 32 KB."""
_FRAMES = 1024
"""Most frames that wait in memory."""
_LARGEST = 16 << 20
"""Most bytes of a frame."""
_ANSWER = 10.0
"""Seconds to wait for an answer, and to connect."""
_HOPELESS = {
    402: f"check {KEYS[0]} and {SECRETS[0]}",
    409: f"its subscription does not include {FEED} as set",
    400: "this release does not speak its current protocol: upgrade trading_data",
    410: "this release does not speak its current protocol: upgrade trading_data",
}
"""Errors that a new connection does not cure."""
_NOT_ALLOWED = frozenset({405, 409})
"""Errors of a subscription that the account does not allow; those made before stay."""


class NotAllowed(Exception):
    """The account does not allow a subscription; the connection and its other subscriptions stay as they are."""


class AlpacaStream:
    """An authenticated connection. Made by `open_stream`."""

    def __init__(self, connection: Any, account: AlpacaAccount) -> None:
        """`connection` is one of `websockets.sync.client`, just opened."""
        self._connection, self._account = connection, account
        self._early: list[Message] = []
        self._expect("success", "connected")
        self._send({"action": "auth", "key": account.key, "secret": account.secret})
        self._expect("success", "authenticated")

    def subscribe(self, channels: Sequence[str], symbols: Collection[str]) -> None:
        """Subscribe to `channels` for `symbols`, in addition to earlier subscriptions; returns when Alpaca has confirmed it.

        Raises:
            NotAllowed: the account does not allow it.
            VendorUnavailable: the connection broke.
        """
        self._change("subscribe", channels, symbols)

    def unsubscribe(self, channels: Sequence[str], symbols: Collection[str]) -> None:
        """Take subscriptions back; raises as `subscribe`."""
        self._change("unsubscribe", channels, symbols)

    def receive(self, seconds: float) -> list[Message]:
        """The next messages; empty if none came within `seconds`.

        Raises:
            VendorUnavailable: the connection broke, or Alpaca ended it.
            VendorRefused: Alpaca ended it for a reason that will not pass.
        """
        if self._early:
            early, self._early = self._early, []
            return early
        messages = self._read(seconds)
        for message in messages:
            if message.get("T") == "error":
                raise self._failure(message)
        return messages

    def _change(self, action: str, channels: Sequence[str], symbols: Collection[str]) -> None:
        listed = sorted(symbols)
        for at in range(0, len(listed), _SYMBOLS):
            self._send({"action": action, **dict.fromkeys(channels, listed[at : at + _SYMBOLS])})
            self._expect("subscription")

    def _expect(self, kind: str, text: str | None = None) -> None:
        """Read up to a control message; other messages before it are kept for `receive`."""
        while True:
            messages = self._read(_ANSWER)
            if not messages:
                raise VendorUnavailable(f"Alpaca's stream did not send {text or kind!r} within {_ANSWER:g} seconds")
            for at, message in enumerate(messages):
                if message.get("T") == "error":
                    if kind == "subscription" and message.get("code") in _NOT_ALLOWED:
                        raise NotAllowed(self._said(message))
                    raise self._failure(message)
                if message.get("T") == kind and text in (None, message.get("msg")):
                    self._early += messages[at + 1 :]
                    return
                self._early.append(message)

    def _read(self, seconds: float) -> list[Message]:
        from websockets.exceptions import WebSocketException

        try:
            raw = self._connection.recv(timeout=seconds)
            content = json.loads(raw)
        except TimeoutError:
            return []
        except (WebSocketException, OSError) as error:
            raise VendorUnavailable(f"Alpaca's stream broke ({self._account.scrub(error)})") from None
        except ValueError:
            raise VendorUnavailable("Alpaca's stream sent a message that is not JSON") from None
        return [
            message for message in (content if isinstance(content, list) else [content]) if isinstance(message, dict)
        ]

    def _send(self, message: Message) -> None:
        from websockets.exceptions import WebSocketException

        try:
            self._connection.send(json.dumps(message))
        except (WebSocketException, OSError) as error:
            raise VendorUnavailable(f"Alpaca's stream broke ({self._account.scrub(error)})") from None

    def _failure(self, message: Message) -> VendorRefused | VendorUnavailable:
        hint = _HOPELESS.get(message.get("code", 0))
        if hint:
            return VendorRefused(f"Alpaca's stream refuses this account ({self._said(message)}): {hint}")
        return VendorUnavailable(f"Alpaca's stream ended ({self._said(message)})")

    def _said(self, message: Message) -> str:
        return self._account.scrub(f"{message.get('code')}: {message.get('msg')}")


@contextmanager
def open_stream(account: AlpacaAccount) -> Iterator[AlpacaStream]:
    """An authenticated connection, closed at the end of the block.

    Raises:
        SettingError: `websockets` is not installed.
        VendorUnavailable: there is no answer, or not one of the stream.
        VendorRefused: the key is wrong, or may not read the feed.
    """
    try:
        from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
        from websockets.sync.client import connect
    except ImportError as error:
        raise SettingError(f"{error}: the feed alpaca needs alpaca-py; `pip install 'trading_data[alpaca]'`") from error
    connection = None
    try:
        connection = connect(
            _url(account), open_timeout=_ANSWER, close_timeout=2.0, max_size=_LARGEST, max_queue=_FRAMES
        ).__enter__()
    except InvalidURI as error:
        raise SettingError(f"{STREAM_URL} cannot be used: {account.scrub(error)}") from None
    except InvalidStatus as error:
        text = f"Alpaca's stream refuses the connection (HTTP {error.response.status_code})"
        if error.response.status_code in (401, 403):
            raise VendorRefused(f"{text}: check {KEYS[0]} and {SECRETS[0]}") from None
        raise VendorUnavailable(f"{text}; check {STREAM_URL} if it is set") from None
    except (WebSocketException, OSError) as error:
        raise VendorUnavailable(f"Alpaca's stream cannot be reached ({account.scrub(error)})") from None
    try:
        yield AlpacaStream(connection, account)
    finally:
        with suppress(WebSocketException, OSError):
            connection.close()


def _url(account: AlpacaAccount) -> str:
    base = account.stream_url
    if base is None:
        from trading_data.sources.vendors.alpaca_client import STREAM

        base = STREAM
    return f"{base}/v2/{account.feed}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def records(table: pa.Table, earliest: datetime, report: Callable[[str], None]) -> list[Bar]:
    """The rows of a vendor's table, in order; bars that break a rule of the archive are left out and reported."""
    checked = check(PRICE, {name: table[name].combine_chunks() for name in PRICE.names}, now(), earliest)
    if checked.bad:
        first = checked.bad[min(checked.bad)].text
        report(f"left out {len(checked.bad):,} bars that the archive would refuse; the first: {first}")
    values = {name: checked.table[name].to_pylist() for name in PRICE.names if name != "timestamp"}
    times = checked.table["timestamp"].cast(pa.int64()).to_pylist()
    values["timestamp"] = [None if us is None else _EPOCH + us * _MICROSECOND for us in times]
    rows = zip(*(values[name] for name in PRICE.names), strict=True)
    return [Bar(*row) for at, row in enumerate(rows) if at not in checked.bad]


def bars_of(
    messages: Sequence[Message], account: AlpacaAccount, earliest: datetime, report: Callable[[str], None]
) -> list[Bar]:
    """The bars in messages of the stream, each with a symbol `S`; a malformed one is left out by itself, and reported."""
    if not messages:
        return []
    try:
        return records(bars_table([(message["S"], message) for message in messages], account.source), earliest, report)
    except VendorError as error:
        if len(messages) > 1:
            return [bar for message in messages for bar in bars_of([message], account, earliest, report)]
        report(f"left out a bar of {messages[0]['S']}: {account.scrub(error)}")
        return []


def time_of(message: Message, otherwise: datetime) -> datetime:
    """A message's own time `t`, UTC, cut to microseconds; `otherwise` where it has none that can be read."""
    try:
        moment = datetime.fromisoformat(str(message.get("t")))
    except ValueError:
        return otherwise
    return otherwise if moment.tzinfo is None else moment.astimezone(UTC)
