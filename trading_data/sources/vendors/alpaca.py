"""Alpaca's history of minute bars, page by page: `AlpacaVendor`.

Belongs here: pages, retries, and what a refusal means, and bars as tables. Does not: HTTP (`alpaca_client`), the live stream
(`sources.feeds.alpaca`).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from trading_data.datasets import PRICE
from trading_data.datasets.codec import schema
from trading_data.errors import SettingError, VendorError, VendorRefused, VendorUnavailable
from trading_data.printable import counted
from trading_data.sources.vendors.alpaca_account import FEED, KEYS, SECRETS, URL, AlpacaAccount
from trading_data.sources.vendors.rate_limit import Patience, told_to_wait
from trading_data.times import floor, now, utc

if TYPE_CHECKING:
    from trading_data.sources.vendors.alpaca_client import Client

_NUMBERS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


def is_symbol(text: str) -> bool:
    """Whether `text` can be a symbol at Alpaca: it is part of URLs, in lists with commas."""
    return text.isascii() and text.isprintable() and not set(text) & set(" ,*") and bool(text)


def bars_table(bars: Sequence[tuple[str, Mapping[str, Any]]], source: str) -> pa.Table:
    """Bars in Alpaca's JSON, each with its symbol, as a table with `codec.schema(PRICE)`: its numbers as doubles.

    A value that is missing or null is null; the start of the bar is UTC, whole microseconds.

    Raises:
        VendorError: a value is of a type that no bar has.
    """
    columns: dict[str, pa.Array] = {}
    kinds = schema(PRICE)
    try:
        columns["symbol"] = pa.array([symbol for symbol, _ in bars], pa.string())
        columns["timestamp"] = pa.array([bar.get("t") for _, bar in bars], pa.string()).cast(
            kinds.field("timestamp").type
        )
        for name, letter in _NUMBERS.items():
            columns[name] = pa.array([bar.get(letter) for _, bar in bars], pa.float64())
    except (pa.ArrowException, AttributeError, OverflowError) as error:
        raise VendorError(
            f"Alpaca sent bars that cannot be read ({error}): check whether the address is that of Alpaca's data API"
        ) from error
    columns["source"] = pa.array([source] * len(bars), pa.string())
    return pa.Table.from_arrays([columns[name] for name in PRICE.names], schema=kinds)


MINUTE = timedelta(minutes=1)
_SYMBOLS = 100
"""Symbols per request: their names fit into a URL."""
_ROWS = 10_000
"""Bars per page, Alpaca's maximum."""
_PASSES = frozenset({408, 425, 429})
"""HTTP errors that pass by themselves, as those from 500 on do."""


class AlpacaVendor:
    """Minute bars of US stocks, unadjusted, prices as doubles exactly as Alpaca's JSON has them. See `Vendor`.

    Pages are requested and yielded one by one, so that at most one is in memory. When the rate limit is reached, the next request
    waits for as long as Alpaca's answer says; it also waits when an answer says that it was the last one allowed.
    """

    def __init__(
        self,
        account: AlpacaAccount,
        *,
        patience: Patience | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        rows: int = _ROWS,
    ) -> None:
        """Opens no connection.

        Args:
            account: key, feed and address.
            patience: how often a page is requested again.
            timeout: seconds to connect, and between two pieces of an answer.
            rows: bars a page, at most 10,000.
        """
        self._account, self._timeout, self._rows = account, timeout, rows
        self._patience = patience or Patience()

    def __repr__(self) -> str:
        """Without key and secret."""
        return f"AlpacaVendor({self.name})"

    @property
    def name(self) -> str:
        """`alpaca:iex` or `alpaca:sip`."""
        return self._account.source

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> Iterator[pa.Table]:
        """As `Vendor.bars`; only bars whose minute has ended by the clock of this machine."""
        start, end = utc(start, "start"), min(utc(end, "end"), floor(now(), MINUTE))
        wanted = list(dict.fromkeys(symbols))
        if odd := [symbol for symbol in wanted if not is_symbol(symbol)]:
            raise VendorRefused(
                f"{_named(list(map(repr, odd)))} cannot be a symbol at Alpaca: correct it, or leave it out", odd
            )
        return self._blocks(wanted, start, end)

    def close(self) -> None:
        """Close the connections, if any were opened."""
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> "Client":
        try:
            from trading_data.sources.vendors.alpaca_client import Client
        except ImportError as error:
            raise SettingError(
                f"{error}: the vendor Alpaca needs alpaca-py; `pip install 'trading_data[alpaca]'`"
            ) from error
        return Client(self._account, self._timeout)

    def _blocks(self, symbols: list[str], start: datetime, end: datetime) -> Iterator[pa.Table]:
        if start >= end:
            return
        for at in range(0, len(symbols), _SYMBOLS):
            for bars in self._pages(symbols[at : at + _SYMBOLS], start, end):
                table = bars_table(bars, self.name)
                begin = table["timestamp"]
                # Alpaca's ranges include both ends.
                table = table.filter(pc.and_(pc.greater_equal(begin, start), pc.less(begin, end)))
                if table.num_rows:
                    yield table

    def _pages(
        self, symbols: list[str], start: datetime, end: datetime
    ) -> Iterator[list[tuple[str, Mapping[str, Any]]]]:
        token: str | None = None
        seen: set[str | None] = {None}
        while True:
            bars, token = _understood(self._page(symbols, start, end - timedelta(microseconds=1), token))
            yield bars
            if not token:
                return
            if token in seen:
                raise VendorError("Alpaca sends the same page again and again; its pages have no end")
            seen.add(token)

    def _page(self, symbols: list[str], start: datetime, end: datetime, token: str | None) -> Any:
        from alpaca.common.exceptions import APIError
        from requests import RequestException

        if self._client.headers.get("X-RateLimit-Remaining") == "0":
            self._wait(told_to_wait(self._client.headers, now()) or 0.0, "it allows no request before the next minute")
        for tried, pause in enumerate(self._patience.seconds(), 1):
            try:
                return self._client.page(symbols, start, end, self._rows, token)
            except APIError as error:
                trouble = f"{error.status_code}: {self._message(error)}"
                if not _passes(error.status_code):
                    raise self._refusal(error.status_code, trouble, symbols) from None
                pause += told_to_wait(self._client.headers, now()) or 0.0
            except RequestException as error:
                trouble = self._account.scrub(f"{type(error).__name__}: {error}")
                if not _may_pass(error):
                    # Its text may have key and secret in it.
                    raise VendorRefused(
                        f"the request to Alpaca failed ({type(error).__name__}): check {URL}, {KEYS[0]} and {SECRETS[0]}"
                    ) from None
            if tried >= self._patience.tries:
                raise VendorUnavailable(
                    f"Alpaca did not send the bars of {_named(symbols)} in {counted(tried, 'attempt')}, the last failed with "
                    f"{trouble}; try again later, and check {URL} if it is set"
                )
            self._wait(pause, trouble)
        raise AssertionError  # pauses have no end

    def _wait(self, seconds: float, why: str) -> None:
        if seconds > 0 and self._patience.wait(seconds):
            raise VendorUnavailable(f"stopped while waiting for Alpaca ({why}); try again later")

    def _message(self, error: Exception) -> str:
        """The text of an error: the message of its JSON, or else the whole answer."""
        text = str(error)
        with suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["message"]
        return self._account.scrub(text) or "no reason given"

    def _refusal(self, status: int | None, text: str, symbols: list[str]) -> VendorRefused:
        _, mark, behind = text.partition("symbol")
        unknown = [symbol for symbol in symbols if mark and symbol in re.findall(r"[^\s,;:'\"()\[\]]+", behind)]
        if unknown:
            return VendorRefused(
                f"Alpaca does not know {_named(unknown)} ({text}): correct it, or leave it out", unknown
            )
        if status in (401, 403):
            return VendorRefused(
                f"Alpaca refuses this account ({text}): check {KEYS[0]} and {SECRETS[0]}, and whether its subscription "
                f"has {FEED}={self._account.feed}"
            )
        return VendorRefused(
            f"Alpaca refuses the request for bars of {_named(symbols)} ({text}); check {URL} if it is set"
        )


def _understood(answer: Any) -> tuple[list[tuple[str, Mapping[str, Any]]], str | None]:
    """Bars with their symbols, and the token of the next page, from an answer's JSON."""
    bars = answer.get("bars") or {} if isinstance(answer, dict) else None
    if not isinstance(bars, dict) or not all(isinstance(listed, list | None) for listed in bars.values()):
        raise VendorError(
            f"Alpaca sent an answer without bars: check whether {URL} is the address of Alpaca's data API"
        )
    token = answer.get("next_page_token")
    return [(symbol, bar) for symbol, listed in bars.items() for bar in listed or ()], token


def _passes(status: int | None) -> bool:
    return status is None or status in _PASSES or status >= 500


def _may_pass(error: Exception) -> bool:
    """Whether a retry may help, after no answer or half of one; not if the address or a header is malformed."""
    from requests import exceptions

    return isinstance(
        error,
        exceptions.ConnectionError
        | exceptions.Timeout
        | exceptions.ChunkedEncodingError
        | exceptions.ContentDecodingError
        | exceptions.JSONDecodeError,
    )


def _named(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:5]) + (f" and {len(symbols) - 5} more" if len(symbols) > 5 else "")
