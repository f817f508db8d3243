"""A market with holes of every kind: bars for the archive, and a vendor that sells them over HTTP.

Belongs here: builders. Does not: tests, and the vendor's protocol (`vendors.alpaca_history`).
"""

import json
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from trading_data.calendars import TradingCalendar
from trading_data.calendars.open_intervals import Micros, index_of, micros_of
from trading_data.datasets import PRICE, codec
from trading_data.sources.vendors.alpaca import AlpacaVendor
from trading_data.sources.vendors.alpaca_account import AlpacaAccount
from trading_data.sources.vendors.rate_limit import Patience
from trading_data.times import DAY
from trading_data_tests.sources.vendors.alpaca_history import KEY, SECRET, AlpacaHistory, Fault
from trading_data_tests.sources.vendors.alpaca_history import bar as sold

NYSE = "XNYS"
FIRST = date(2026, 11, 9)
"""A Monday; the week's sessions are 14:30 to 21:00 UTC."""
LAST = date(2026, 11, 13)
SOURCE = "alpaca:iex"
WHOLE = slice(None)


def minutes_of(day: date) -> Micros:
    """Microseconds of the session's minutes."""
    return micros_of(TradingCalendar.named(NYSE).expected_minutes(day))


def closes(symbol: str, times: Micros) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What a bar closes at: of symbol and minute, so that whoever sells it says the same."""
    found: np.ndarray[Any, np.dtype[np.float64]] = 100.0 + len(symbol) + (times // 60_000_000 % 97) / 100
    return found


def bars(symbol: str, day: date, keep: slice = WHOLE, source: str = SOURCE) -> pa.Table:
    """The bars of a session, those of `keep` only."""
    times = minutes_of(day)[keep]
    close = closes(symbol, times)
    columns = {
        "symbol": pa.array([symbol] * len(times), pa.string()),
        "timestamp": pa.array(times, pa.int64()).cast(codec.ARROW_TYPES["time"]),
        "open": pa.array(close),
        "high": pa.array(close + 0.5),
        "low": pa.array(close - 0.5),
        "close": pa.array(close),
        "volume": pa.array(np.full(len(times), 100.0)),
        "source": pa.array([source] * len(times), pa.string()),
    }
    return pa.table(columns, schema=codec.schema(PRICE))


class Seller:
    """A vendor on this machine; it sells what it was given with `has`, to those who ask for upper-case symbols."""

    def __init__(self) -> None:
        self.server = AlpacaHistory()
        account = AlpacaAccount(KEY, SECRET, url=self.server.url)
        self.vendor = AlpacaVendor(account, patience=Patience(tries=1), timeout=(2.0, 2.0))

    def close(self) -> None:
        self.vendor.close()
        self.server.close()

    def has(self, symbol: str, day: date, keep: slice = WHOLE) -> None:
        """Bars of a symbol's day are for sale."""
        times = minutes_of(day)[keep]
        for moment, close in zip(index_of(times), closes(symbol, times).tolist(), strict=True):
            values = {"o": close, "h": close + 0.5, "l": close - 0.5}
            self.server.bars.setdefault(symbol, []).append(sold(moment.to_pydatetime(), close, **values))

    def fails(self, *which: str) -> None:
        """What becomes of the next requests: `cats` (no bars), `away` (no answer), `key` (refused), or `well`."""
        faults = {
            "cats": Fault("status", body=json.dumps({"cats": 3, "bars": "none"})),
            "away": Fault("drop"),
            "key": Fault("status", 403, body={"message": "forbidden"}),
            "well": None,
        }
        self.server.faults.extend(faults[fault] for fault in which)

    @property
    def asked(self) -> list[tuple[date, tuple[str, ...]]]:
        """Day and symbols of every request."""
        return [
            (date.fromisoformat(request["start"][:10]), tuple(request["symbols"].split(",")))
            for request in self.server.requests
        ]


def days(first: date = FIRST, last: date = LAST) -> list[date]:
    """All days of a range, both ends included."""
    return [first + DAY * at for at in range((last - first).days + 1)]
