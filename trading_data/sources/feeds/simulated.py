"""A simulated market from a seed: `SimulatedMarket`, one day of it, and `live_minutes`, which follows the real clock.

Belongs here: what is sent in which minute, and what comes late, twice or corrected. Does not: prices (`walk`), fills
(`orders`), waiting and sending (`pump`).
"""

import heapq
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import count, repeat
from math import fsum
from typing import Any

import numpy as np

from trading_data.datasets.records import Bar, Fill
from trading_data.errors import BadInput
from trading_data.sources.feeds.orders import SOURCE, Gauges, fills
from trading_data.sources.feeds.pump import Minute
from trading_data.sources.feeds.walk import SESSION, Cents, Stream, Walk, WalkMinute, generator, tickers
from trading_data.times import DAY, day_start, floor, now

MINUTE = timedelta(minutes=1)
_WHOLE_DAY = (0, 24 * 60)


class Delayed:
    """Delayed records; one day of the market hands them to the next."""

    def __init__(self) -> None:
        """No record is delayed yet."""
        self._heap: list[tuple[datetime, int, Bar | Fill]] = []
        self._order = count()

    def put(self, due: datetime, record: Bar | Fill) -> None:
        """Keep `record` until `due`."""
        heapq.heappush(self._heap, (due, next(self._order), record))

    def take(self, at: datetime | None) -> Iterator[Bar | Fill]:
        """Remove and yield the records due at `at` (None: all), in the order in which they became due."""
        while self._heap and (at is None or self._heap[0][0] <= at):
            yield heapq.heappop(self._heap)[2]


class SimulatedMarket:
    """A trading day of minute bars, fills and measurements, the same for the same arguments in every process.

    Iterate for a `Minute` a minute; a bar of minute m is sent at m + 1. A share `late` of the bars is sent some
    minutes, now and then an hour, later; a share `repeated` is sent again as it was; a share `corrected` is sent wrong
    at first and right some minutes later. No bar is more than one of these, so what is sent last of a bar is always
    what the same market sends with all shares at zero. What is still on its way at the end comes with the last minute,
    so every (symbol, minute) of the session is sent at least once.
    """

    def __init__(
        self,
        symbols: int | Sequence[str],
        day: date,
        seed: int,
        *,
        round_the_clock: bool = False,
        late: float = 0.01,
        repeated: float = 0.01,
        corrected: float = 0.01,
        fills_per_minute: float = 12.0,
        metrics: int = 6,
    ) -> None:
        """Computes nothing yet.

        Args:
            symbols: names, or the number of made-up tickers. A symbol's prices depend on its position here.
            day: the UTC day: 14:30 to 21:00 of it, or all of it with `round_the_clock`.
            seed: zero or above.
            round_the_clock: 24 hours a day.
            late: share of the bars, 0 to 1; the three shares together are at most 1.
            repeated: share of the bars, and of the fills, that are sent twice.
            corrected: share of the bars.
            fills_per_minute: mean.
            metrics: measurements a minute: bars sent, fills sent, then profits of strategies.

        Raises:
            BadInput: one of these is out of its range, or a symbol is named twice.
        """
        self.symbols = tickers(symbols) if isinstance(symbols, int) else list(symbols)
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise BadInput("the simulated market needs at least one symbol, and each of them once")
        shares = (late, repeated, corrected)
        if min(shares) < 0 or not fsum(shares) <= 1:
            raise BadInput(f"late, repeated and corrected are shares of the bars, together at most 1, not {shares}")
        if seed < 0 or metrics < 0 or not 0 <= fills_per_minute <= 100_000:
            raise BadInput("seed and metrics must not be negative; fills_per_minute is 0 to 100,000")
        self.day, self.seed = day, seed
        self._first, self._end = _WHOLE_DAY if round_the_clock else SESSION
        self._fates = np.cumsum(shares)
        self._fills_per_minute, self._gauges = fills_per_minute, Gauges(metrics, seed, day)

    def __iter__(self) -> Iterator[Minute]:
        """The whole day, from its first minute; no delayed record is left."""
        return self.minutes()

    def next_day(self) -> "SimulatedMarket":
        """The same market on the day after."""
        other = copy(self)
        other.day = self.day + DAY
        other._gauges = replace(self._gauges, day=other.day)
        return other

    def minutes(self, begin: datetime | None = None, delayed: Delayed | None = None) -> Iterator[Minute]:
        """The day's minutes from `begin` (aware; None: the first) on.

        Delayed records are taken from `delayed`, and those not due at the end are left there.
        """
        midnight = day_start(self.day)
        delays = Delayed() if delayed is None else delayed
        profits = self._gauges.start()
        for step in Walk(len(self.symbols), self.seed, self.day, self._first, self._end):
            start = midnight + step.minute * MINUTE
            self._gauges.move(profits, step.minute)
            if begin is not None and start < begin:
                continue
            at = start + MINUTE
            bars = self._bars(step, start, delays)
            made = self._fills(step, start, delays)
            due = list(delays.take(None if delayed is None and step.minute + 1 == self._end else at))
            # Delayed records come last: a correction is never sent before the bar it corrects.
            sent = bars + [record for record in due if isinstance(record, Bar)]
            filled = made + [record for record in due if isinstance(record, Fill)]
            yield Minute(at, sent, filled, self._gauges.read(at, len(sent), len(filled), profits))

    def _bars(self, step: WalkMinute, start: datetime, delays: Delayed) -> list[Bar]:
        """The minute's bars that are sent in time; the others are put into `delays`."""
        prices = (_money(cents) for cents in (step.open, step.high, step.low, step.close))
        bars = list(map(Bar, self.symbols, repeat(start), *prices, step.volume.tolist(), repeat(SOURCE)))
        draws = generator(self.seed, Stream.FATE, self.day, step.minute).random((len(bars), 2))
        fate = np.searchsorted(self._fates, draws[:, 0], side="right")
        late = []
        for at in np.flatnonzero(fate < 3).tolist():
            bar, draw = bars[at], float(draws[at, 1])
            if fate[at] == 0:
                late.append(at)
                delays.put(start + MINUTE + _lateness(draw), bar)
            elif fate[at] == 1:
                delays.put(start + (1 + int(draw * 4)) * MINUTE, bar)
            else:
                bars[at] = _wrong(bar)
                delays.put(start + (3 + int(draw * 13)) * MINUTE, bar)
        for at in reversed(late):
            del bars[at]
        return bars

    def _fills(self, step: WalkMinute, start: datetime, delays: Delayed) -> list[Fill]:
        made = fills(self.symbols, step, start, self.seed, self._fills_per_minute)
        draws = generator(self.seed, Stream.FATE, self.day, step.minute + _WHOLE_DAY[1]).random(len(made))
        for at in np.flatnonzero(draws < self._fates[1] - self._fates[0]).tolist():
            delays.put(start + 2 * MINUTE, made[at])
        return made


def live_minutes(
    symbols: int | Sequence[str],
    seed: int,
    round_the_clock: bool = True,
    *,
    begin: datetime | None = None,
    **options: Any,
) -> Iterator[Minute]:
    """The simulated market that follows the real clock, without end: from the current minute over midnight, day by day.

    The first `Minute.at` is the end of the minute in which `begin` (aware; None: now) lies. Nothing waits here: send
    each one when its `at` has come, as `pump` does at pace 1, and no timestamp lies in the future. After a restart the same
    minutes are the same. Late records of one day arrive on the next. `options` are those of
    `SimulatedMarket`.

    Raises:
        BadInput: as `SimulatedMarket`.
    """
    begin = floor(now() if begin is None else begin, MINUTE)
    first = SimulatedMarket(symbols, begin.date(), seed, round_the_clock=round_the_clock, **options)
    return _days(first, begin)


def _days(market: SimulatedMarket, begin: datetime) -> Iterator[Minute]:
    delayed = Delayed()
    while True:
        yield from market.minutes(begin, delayed)
        market = market.next_day()


def _lateness(draw: float) -> timedelta:
    """One late bar in ten is an hour late, the others one to twelve minutes."""
    return MINUTE * (60 if draw < 0.1 else 1 + int((draw - 0.1) / 0.9 * 12))


def _wrong(bar: Bar) -> Bar:
    """The first version of a bar that is corrected later: its close not known yet, some trades not counted."""
    return replace(bar, close=bar.open, volume=np.floor(bar.volume * 0.9).item() if bar.volume else 100.0)


def _money(cents: Cents) -> list[float]:
    values: list[float] = (cents / 100.0).tolist()
    return values
