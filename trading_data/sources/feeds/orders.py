"""Simulated fills and measurements: orders of a few strategies, filled in parts at prices inside the minute's bar.

Belongs here: making these two kinds of records. Does not: prices (`walk`), and when records are sent (`simulated`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np

from trading_data.datasets.records import Fill, Measurement
from trading_data.sources.feeds.walk import Stream, WalkMinute, generator

STRATEGIES = ("momentum", "reversion", "pairs", "auction")
SOURCE = "simulated"

_PER_UNIT, _LEAST = Decimal("0.0035"), Decimal("0.35")
_CENT, _EXACT = Decimal("0.01"), Decimal("0.0001")
_MINUTE_US = 60_000_000


def fills(symbols: Sequence[str], step: WalkMinute, start: datetime, seed: int, per_minute: float) -> list[Fill]:
    """The fills of the minute that begins at `start`, in time: `per_minute` of them on average, one to four an order.

    Order ids have seed, day, minute and number, so two runs of one seed have the same orders. No two fills share a timestamp.
    """
    draw = generator(seed, Stream.ORDER, start.date(), step.minute)
    count = int(draw.poisson(per_minute))
    # Sorted and then spread by their position: distinct, however many they are.
    offsets = np.sort(draw.integers(0, _MINUTE_US - count, count)) + np.arange(count)
    sizes = np.minimum(1 + draw.geometric(0.45, count), 4)
    picks, cents = draw.integers(0, len(symbols), count), draw.random(count)
    units, kinds = draw.integers(1, 400, count), draw.random((count, 3))
    out: list[Fill] = []
    for number, (first, end) in enumerate(_orders(sizes.tolist(), count)):
        pick, order_id = int(picks[first]), f"S{seed}-{start:%Y%m%d}-{step.minute:04d}-{number:03d}"
        low, high = int(step.low[pick]), int(step.high[pick])
        side = "buy" if kinds[first, 0] < 0.5 else "sell"
        for part, at in enumerate(range(first, end), 1):
            quantity = Decimal(int(units[at]))
            if kinds[first, 1] < 0.1:  # some brokers sell parts of a unit
                quantity += Decimal(int(units[at])).scaleb(-3)
            commission = max((quantity * _PER_UNIT).quantize(_EXACT), _LEAST)
            out.append(
                Fill(
                    order_id=order_id,
                    timestamp=start + timedelta(microseconds=int(offsets[at])),
                    execution_id=f"{order_id}-{part}",
                    symbol=symbols[pick],
                    side=side,
                    quantity=quantity,
                    price=(low + int((high - low + 1) * cents[at])) * _CENT,
                    commission=-commission if kinds[at, 2] < 0.05 else commission,  # a rebate
                    strategy=STRATEGIES[number % len(STRATEGIES)],
                    source=SOURCE,
                )
            )
    return out


def _orders(sizes: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    first = 0
    for size in sizes:
        if first >= count:
            return
        yield first, min(first + size, count)
        first += size


@dataclass(frozen=True)
class Gauges:
    """The measurements of each minute: the numbers of records sent, then the day's profit of each strategy in US dollars."""

    count: int
    seed: int
    day: date

    def start(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The profits at the beginning of the day."""
        return np.zeros(max(self.count - 2, 0))

    def move(self, profits: np.ndarray[tuple[int], np.dtype[np.float64]], minute: int) -> None:
        """Advance the profits by one minute, in place."""
        profits += generator(self.seed, Stream.METRIC, self.day, minute).normal(0.5, 40.0, len(profits))

    def read(
        self, at: datetime, bars: int, fills: int, profits: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> list[Measurement]:
        """The measurements taken at `at`."""
        out = [
            Measurement("feed.bars_per_minute", at, float(bars), "bars"),
            Measurement("feed.fills_per_minute", at, float(fills), "fills"),
        ]
        for number, profit in enumerate(profits.tolist()):
            again, which = divmod(number, len(STRATEGIES))
            name = STRATEGIES[which] + (f"-{again + 1}" if again else "")
            out.append(Measurement(f"strategy.{name}.pnl", at, round(profit, 2), "USD"))
        return out[: self.count]
