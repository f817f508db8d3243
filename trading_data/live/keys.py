"""Every key of the live tier: its name, type, lifetime and content, and the keys this package keeps for itself.

`KEYS` is the only copy of the contract's table: setters and getters, the state snapshot, the docs and the tests follow it. The
channel of a publication is the key's own name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from string import Formatter
from typing import Literal

from trading_data.errors import BadInput


def raw(name: str) -> bytes:
    """A key as bytes; `raw(text(name))` is `name` even where it is not UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def text(name: bytes) -> str:
    """A key as text, see `raw`."""
    return name.decode("utf-8", "surrogateescape")


KeyType = Literal["hash", "set", "zset", "stream", "string"]

LATEST_TTL = timedelta(days=1)
"""How long a latest value outlives its last update. It may be evicted earlier, its journal entry never."""


@dataclass(frozen=True)
class LiveKey:
    """One kind of key.

    Attributes:
        pattern: the key's name; each `{placeholder}` is a part that differs from key to key.
        type: the type that the server's TYPE returns.
        ttl: how long a key outlives its last update; None for keys that never expire.
        content: a description of the value, for the docs.
        state: whether it belongs to the state of the system that `state_snapshot` keeps.
    """

    pattern: str
    type: KeyType
    ttl: timedelta | None
    content: str
    state: bool = False

    @property
    def prefix(self) -> str:
        """The name up to its first placeholder, or the whole name."""
        return self.pattern.partition("{")[0]

    @cached_property
    def about(self) -> tuple[str, ...]:
        """The placeholders, in order: the parts of a single key's name."""
        return tuple(field for _, field, _, _ in Formatter().parse(self.pattern) if field)

    def name(self, **about: str) -> str:
        """The name of a single key: `KEYS["price"].name(symbol="AAPL")`.

        Raises:
            BadInput: a part is empty or not a string, or a part before the last contains a colon, so that two keys could
                have the same name.
        """
        for part in self.about:
            value = about[part]
            if not isinstance(value, str) or not value.strip():
                raise BadInput(f"{part} must be a non-empty string, not {value!r}: it is part of a key's name")
            if ":" in value and part != self.about[-1]:
                raise BadInput(f"{part} {value!r} contains a colon, which would make {self.pattern} ambiguous")
            try:
                value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                raise BadInput(f"{part} {value!r} is not valid Unicode: it contains half of a surrogate pair") from None
        return self.pattern.format(**about)


KEYS: Mapping[str, LiveKey] = {
    "price": LiveKey("stocks:price:{symbol}", "hash", LATEST_TTL, "latest bar"),
    "indicators": LiveKey("stocks:indicators:{symbol}", "hash", LATEST_TTL, "indicator name → value, and `timestamp`"),
    "sentiment": LiveKey("stocks:sentiment:{symbol}", "hash", LATEST_TTL, "score, articles, headline, `timestamp`"),
    "context": LiveKey("market:context", "hash", LATEST_TTL, "sector performance and breadth, and `timestamp`"),
    "watchlist": LiveKey("watchlist:current", "set", None, "symbols", state=True),
    "candidates": LiveKey("candidates:ranked", "zset", None, "symbol → score", state=True),
    "active": LiveKey("positions:active:{symbol}", "hash", None, "quantity, entry price, stop, target", state=True),
    "monitoring": LiveKey("positions:monitoring:{symbol}", "hash", None, "as `positions:active`", state=True),
    "signal": LiveKey(
        "signals:{signal_type}:{symbol}", "hash", timedelta(hours=4), "direction, strength, `timestamp`", state=True
    ),
    "system": LiveKey("system:state", "hash", None, "component → state", state=True),
    "performance": LiveKey("metrics:performance", "hash", None, "metric name → latest value"),
    "cache": LiveKey("cache:{name}:{digest}", "string", timedelta(hours=1), "computed results"),
    "price_journal": LiveKey("journal:price:{symbol}", "stream", None, "every bar"),
    "trade_journal": LiveKey("journal:trade", "stream", None, "every fill"),
    "metrics_journal": LiveKey("journal:metrics", "stream", None, "every measurement"),
}

PRICE = KEYS["price"].pattern
PERFORMANCE = KEYS["performance"].pattern


def drained(dataset: str) -> str:
    """Hash: journal → how far it was drained into the intake (JSON, see `intake.snapshot`)."""
    return f"archive:drained:{dataset}"


def sampled(dataset: str) -> str:
    """Hash: key of a latest value → its digest at the last poll; and the time of that poll (see `intake.poll_latest`)."""
    return f"archive:sampled:{dataset}"


def lease(dataset: str) -> str:
    """Lock: held by the process that drains a dataset."""
    return f"archive:lease:{dataset}"
