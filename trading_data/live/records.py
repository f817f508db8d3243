"""Typed records of the live state besides bars, fills and measurements: one class for each kind of key.

Numbers are finite; times are aware, and returned in UTC. `extra` holds the hash's other fields as text, so that fields of other
programs survive a read and a write.

Belongs here: the records. Does not: their encoding as hashes (`live.hash_codec`), and `Bar` (`datasets.records`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True)
class Indicators:
    """The technical indicators of one symbol at one moment: `values` is name → value.

    A field of the hash that is not a finite number is in `extra`.
    """

    symbol: str
    timestamp: datetime
    values: Mapping[str, float] = field(hash=False)
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Sentiment:
    """The sentiment about one symbol: `score` in the producer's own scale, from how many `articles`, the main `headline`."""

    symbol: str
    timestamp: datetime
    score: float
    articles: int
    headline: str
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class MarketContext:
    """The whole market at one moment: `values` is name → value, one for each sector's performance and each breadth figure.

    A field of the hash that is not a finite number is in `extra`.
    """

    timestamp: datetime
    values: Mapping[str, float] = field(hash=False)
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Position:
    """An open position, or one that is monitored until it is opened.

    Attributes:
        symbol: the instrument.
        quantity: units, not negative; `side` has the direction.
        entry_price: price of one unit in the instrument's currency: the price paid, or the one to enter at.
        stop: the price at which to take the loss; None for none.
        target: the price at which to take the profit; None for none.
        side: `long` or `short`.
        strategy: name of the strategy.
        opened_at: when it was opened; aware.
        last_fill: order and execution of the fill that opened or last reduced it; `LiveStore` sets it.
        extra: further fields, as text.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    stop: Decimal | None = None
    target: Decimal | None = None
    side: Literal["long", "short"] = "long"
    strategy: str = ""
    opened_at: datetime | None = None
    last_fill: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Signal:
    """A strategy's signal for a symbol: `direction` and `strength` in the strategy's own words and scale."""

    signal_type: str
    symbol: str
    timestamp: datetime
    direction: str
    strength: float
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
