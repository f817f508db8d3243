"""What strategies keep in the live tier besides bars, fills and measurements: the typed records, one class a kind of key.

Numbers are finite; times are aware, and come back in UTC. `extra` holds whatever else is in the hash, as text, so that what
other programs put there survives being read and written again.

Belongs here: the records. Does not: how they become hashes and come back (`live.hash_codec`), and `Bar` (`datasets.records`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True)
class Indicators:
    """The technical indicators of one symbol at one moment: `values` is name → value.

    A field of the hash that is no finite number is in `extra`.
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

    A field of the hash that is no finite number is in `extra`.
    """

    timestamp: datetime
    values: Mapping[str, float] = field(hash=False)
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Position:
    """A position that is open, or one that is watched in order to be opened.

    Attributes:
        symbol: the instrument.
        quantity: units, not negative: `side` says which way.
        entry_price: price of one unit, in the instrument's currency; what was paid, or what is waited for.
        stop: the price at which to give up; None for none.
        target: the price at which to take the profit; None for none.
        side: `long` or `short`.
        strategy: who decided it.
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
    """What a strategy says about a symbol: `direction` and `strength` in the strategy's own words and scale."""

    signal_type: str
    symbol: str
    timestamp: datetime
    direction: str
    strength: float
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
