"""The bars of the benches: the same bars as journal entries, as records, and as an Arrow table.

Belongs here: generating them, and writing them into journals without a client library. Does not: measuring.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from trading_data.bench.references.wire import packed, wire
from trading_data.datasets import PRICE, codec
from trading_data.live.connection import Client
from trading_data.times import DAY, day_start, now

MINUTES_A_DAY = 390
_OPENING = timedelta(hours=14, minutes=30)
_COMMANDS = 500
SOURCE = "bench"


@dataclass(frozen=True)
class Bars:
    """Minute bars: `each` bars for each of `symbols` symbols, over as many days of 390 minutes as needed.

    They end on the day before `until` (default: today). Prices are a random walk in cents; the same `seed` gives the same bars.
    """

    symbols: int
    each: int
    until: datetime = field(default_factory=lambda: day_start(now().date()))
    seed: int = 7

    @property
    def count(self) -> int:
        """The number of bars."""
        return self.symbols * self.each

    @cached_property
    def names(self) -> list[str]:
        """The symbols."""
        return [f"S{at:04d}" for at in range(self.symbols)]

    @cached_property
    def days(self) -> list[datetime]:
        """Midnight of each day, the oldest first."""
        number = -(-self.each // MINUTES_A_DAY)
        return [self.until - DAY * (number - at) for at in range(number)]

    @cached_property
    def moments(self) -> list[datetime]:
        """The times of each symbol's bars."""
        minute = timedelta(minutes=1)
        return [self.days[at // MINUTES_A_DAY] + _OPENING + minute * (at % MINUTES_A_DAY) for at in range(self.each)]

    def table(self) -> pa.Table:
        """The bars with the dataset's columns, symbol by symbol, as an archiver reads them."""
        values = np.stack([self._minute(at) for at in range(self.each)])
        columns = {
            "symbol": pa.array(np.repeat(self.names, self.each)),
            "timestamp": pa.array(self.moments * self.symbols, codec.ARROW_TYPES["time"]),
            **{name: pa.array(values[:, at].T.ravel()) for at, name in enumerate(("open", "high", "low", "close"))},
            "volume": pa.array(values[:, 4].T.ravel()),
            "source": pa.repeat(SOURCE, self.count),
        }
        return pa.table(columns).select(list(PRICE.names)).cast(codec.schema(PRICE))

    def entries(self, first_ms: int) -> Iterator[bytes]:
        """Packed XADD commands, minute by minute for all symbols; the entry ids of the n-th minute are `first_ms + n`."""
        heads = [packed("XADD", PRICE.prefix + name)[len(b"*2\r\n") :] for name in self.names]
        head = b"*%d\r\n" % (3 + 2 * len(PRICE.fields))
        for at, moment in enumerate(self.moments):
            entry_id = f"{first_ms + at}-0"
            block = []
            for name, values in zip(heads, zip(*self._minute(at).tolist(), strict=True), strict=True):
                block += [head, name, _tail(entry_id, moment, values)]
                if len(block) == 3 * _COMMANDS:
                    yield b"".join(block)
                    block = []
            if block:
                yield b"".join(block)

    def records(self, count: int) -> list[dict[str, Any]]:
        """The first `count` bars in the order of time, as mappings that `LiveStore.record_prices` takes."""
        records: list[dict[str, Any]] = []
        for at, moment in enumerate(self.moments):
            for name, values in zip(self.names, zip(*self._minute(at).tolist(), strict=True), strict=True):
                records.append(dict(zip(PRICE.names, (name, moment, *values, SOURCE), strict=True)))
                if len(records) == count:
                    return records
        return records

    def _minute(self, at: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Open, high, low, close and volume of all symbols in one minute: five rows."""
        random = np.random.default_rng((self.seed, at))
        cents = 5_000 + 37 * np.arange(self.symbols) + random.integers(-200, 200, self.symbols)
        steps = np.sort(random.integers(-40, 41, (4, self.symbols)), axis=0)
        low, opening, closing, high = (cents + steps) / 100
        return np.stack([opening, high, low, closing, random.integers(1, 100_000, self.symbols).astype(float)])


def journal(client: Client, bars: Bars, first_ms: int) -> None:
    """Write the bars into the journals, as fast as possible."""
    with wire(client) as line:
        for block in bars.entries(first_ms):
            line.send(block)


def bars_of(entries: int, symbols: int = 500) -> Bars:
    """About `entries` bars; of fewer than `symbols` symbols if each would have less than 20."""
    used = max(2, min(symbols, entries // 20))
    return Bars(used, max(2, entries // used))


def _tail(entry_id: str, moment: datetime, values: Sequence[float]) -> bytes:
    numbers = "".join(
        f"${len(name)}\r\n{name}\r\n${len(text)}\r\n{text}\r\n"
        for name, text in zip(PRICE.fields, (moment.isoformat(), *map(repr, values), SOURCE), strict=True)
    )
    return f"${len(entry_id)}\r\n{entry_id}\r\n{numbers}".encode()
