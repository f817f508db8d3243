"""Simulated prices: one random walk per symbol, in cents, from the end of one day to the end of the next.

Each minute has its own random generator, so its values only depend on seed, day, session and the symbol's position: not on
the number of symbols after it, nor on the minute at which the feed began.

Belongs here: names and numbers of the simulated instruments. Does not: records (`simulated`, `orders`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Any

import numpy as np

from trading_data.errors import BadInput

Floats = np.ndarray[Any, np.dtype[np.float64]]
Cents = np.ndarray[Any, np.dtype[np.int64]]

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_SHORT, _LONG = len(_LETTERS) ** 3, len(_LETTERS) ** 4
_SHORT_STRIDE, _LONG_STRIDE = 3_217, 61_681
"""Steps through all names of three and of four letters; coprime to their number, so that no name repeats."""
_PERIODS = np.array([23.0, 71.0, 257.0])
"""Days of the slow waves that a price follows from day to day."""
SESSION = (14 * 60 + 30, 21 * 60)
"""First minute of the day of a US session, and the one after its last; UTC, as in winter."""


class Stream(IntEnum):
    """The purpose of a generator: each purpose has its own, so that none shifts another's numbers."""

    SYMBOL = 0
    PRICE = 1
    FATE = 2
    ORDER = 3
    METRIC = 4
    NEWS = 5


def tickers(count: int) -> list[str]:
    """The first `count` made-up tickers: three letters, then four; the same ones in every process.

    Raises:
        BadInput: `count` is below one or above 168,000.
    """
    if not 1 <= count <= _SHORT + _LONG:
        raise BadInput(f"the simulated market takes 1 to {_SHORT + _LONG:,} symbols, not {count:,}")
    short = (_spelt(at * _SHORT_STRIDE % _SHORT, 3) for at in range(min(count, _SHORT)))
    long = (_spelt(at * _LONG_STRIDE % _LONG, 4) for at in range(count - _SHORT))
    return [*short, *long]


def _spelt(number: int, letters: int) -> str:
    out = ""
    for _ in range(letters):
        number, letter = divmod(number, len(_LETTERS))
        out += _LETTERS[letter]
    return out


def generator(seed: int, stream: Stream, day: date = date.min, minute: int = 0) -> np.random.Generator:
    """The random numbers of one purpose in one minute of one day. `seed` is zero or above."""
    return np.random.default_rng([seed, stream, day.toordinal(), minute])


@dataclass(frozen=True)
class WalkMinute:
    """One minute of all symbols: prices in cents, volume in whole units."""

    minute: int
    open: Cents
    high: Cents
    low: Cents
    close: Cents
    volume: Floats


class Walk:
    """One day of `count` symbols; iterate for a `WalkMinute` a minute."""

    def __init__(self, count: int, seed: int, day: date, first: int, end: int) -> None:
        """The minutes `first` to `end` (exclusive) of `day`, counted from midnight UTC."""
        self._seed, self._day, self._first, self._end = seed, day, first, end
        traits = generator(seed, Stream.SYMBOL).random((count, 6))
        self._base = np.log(8.0) + traits[:, 0] * np.log(60.0)
        self._volatility = 0.0004 + 0.0008 * traits[:, 1]
        self._liquidity = np.exp(4.0 + 6.0 * traits[:, 2])
        self._phases = traits[:, 3:6]

    def __iter__(self) -> Iterator[WalkMinute]:
        """All minutes in order. The last close is where the next day opens."""
        level, target = self._level(self._day.toordinal()), self._level(self._day.toordinal() + 1)
        close = _cents(level)
        for minute in range(self._first, self._end):
            left = self._end - minute
            draws = generator(self._seed, Stream.PRICE, self._day, minute).standard_normal((len(level), 4))
            # A Brownian bridge: the less time is left, the stronger the pull to the target.
            noise = self._volatility * draws[:, 0] * np.sqrt((left - 1) / left)
            level = level + (target - level) / left + noise
            opened, close = close, _cents(level)
            wick = np.rint(np.abs(draws[:, 1:3]) * (close * self._volatility * 0.5)[:, None]).astype(np.int64)
            high = np.maximum(opened, close) + wick[:, 0]
            low = np.maximum(np.minimum(opened, close) - wick[:, 1], 1)
            volume = np.floor(self._liquidity * _busy(minute) * np.exp(0.5 * draws[:, 3]))
            yield WalkMinute(minute, opened, high, low, close, volume)

    def _level(self, day: int) -> Floats:
        waves: Floats = 0.06 * np.sin(2 * np.pi * (day / _PERIODS + self._phases)).sum(axis=1)
        level: Floats = self._base + waves
        return level


def _cents(level: Floats) -> Cents:
    cents: Cents = np.maximum(np.rint(np.exp(level) * 100), 1).astype(np.int64)
    return cents


def _busy(minute: int) -> float:
    """Trading activity of a minute relative to the average: a U over the session, little outside it."""
    first, end = SESSION
    if not first <= minute < end:
        return 0.1
    return 0.6 + 1.6 * (2 * (minute - first) / (end - 1 - first) - 1) ** 2
