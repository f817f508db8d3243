"""Channels and their messages: every publication is on the channel with the key's own name.

Belongs here: the channels of a subscription, and the meaning of a message. Does not: connections (`live.subscribe`).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from trading_data.errors import BadInput
from trading_data.live.journal import raw, text
from trading_data.live.keys import KEYS

EVERY_BAR = ("price", "price_journal")
"""The newest bar of a symbol is published on `stocks:price:…`, a late bar on `journal:price:…`."""
KINDS = tuple(name for name in KEYS if name != "cache")
"""Kinds of keys with publications, by their names in `KEYS`. Measurements are published as `performance`."""


@dataclass(frozen=True)
class Update:
    """One publication, or one value found after a gap.

    Attributes:
        channel: the channel, which is the name of the key.
        kind: the name of that kind of key in `KEYS`.
        symbol: from the channel's name or, where that has none, from the fields; None if neither has one.
        fields: the published JSON object; its values are strings if the library published it. Empty for any other payload.
        payload: the published text; bytes that are not UTF-8 are lone surrogates.
        received_at: time of receipt, aware UTC.
    """

    channel: str
    kind: str
    symbol: str | None
    fields: Mapping[str, Any]
    payload: str
    received_at: datetime


@dataclass(frozen=True)
class Wanted:
    """The scope of a subscription: symbols (None for all), kinds, and their channels and patterns."""

    symbols: frozenset[str] | None
    kinds: tuple[str, ...]
    channels: tuple[bytes, ...]
    patterns: tuple[bytes, ...]

    def has(self, symbol: str | None) -> bool:
        """Whether a symbol is in scope; updates without a symbol always are."""
        return self.symbols is None or symbol is None or symbol in self.symbols

    def update(self, channel: bytes, payload: bytes, at: datetime) -> Update | None:
        """The update of a message; None if its symbol is out of scope, or the channel only looks like one of ours."""
        name, message = text(channel), text(payload)
        for kind in self.kinds:
            match = _form(kind).fullmatch(name)
            if match:
                fields = _fields(message)
                named = match.groupdict().get("symbol") or fields.get("symbol")
                symbol = named if isinstance(named, str) else None
                return Update(name, kind, symbol, fields, message, at) if self.has(symbol) else None
        return None


def wanted(symbols: str | Iterable[str] | None, kinds: str | Iterable[str]) -> Wanted:
    """The channels of `symbols` (None for all) and `kinds`.

    Raises:
        BadInput: `symbols` or `kinds` is empty, a kind is unknown, or a symbol cannot be part of a key's name.
    """
    chosen = (kinds,) if isinstance(kinds, str) else tuple(dict.fromkeys(kinds))
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown or not chosen:
        raise BadInput(
            f"unknown kind {unknown[0] if unknown else ''!r} in a subscription: choose from {', '.join(KINDS)}"
        )
    about = None if symbols is None else frozenset([symbols] if isinstance(symbols, str) else symbols)
    if about is not None and not about:
        raise BadInput("a subscription needs at least one symbol: name some, or pass None for all")
    channels: list[str] = []
    patterns: list[str] = []
    for kind in chosen:
        key = KEYS[kind]
        if not key.about:
            channels.append(key.pattern)
        elif about is None:
            patterns.append(key.pattern.format(**dict.fromkeys(key.about, "*")))
        elif key.about == ("symbol",):
            channels += [key.name(symbol=symbol) for symbol in sorted(about)]
        else:
            others = dict.fromkeys(key.about, "*")
            patterns += [key.pattern.format(**{**others, "symbol": _escaped(symbol)}) for symbol in sorted(about)]
    return Wanted(about, chosen, tuple(raw(name) for name in channels), tuple(raw(name) for name in patterns))


@cache
def _form(kind: str) -> re.Pattern[str]:
    """A pattern for the channels of a kind: only the last part of a name may contain colons (see `LiveKey.name`)."""
    key = KEYS[kind]
    parts = {part: f"(?P<{part}>[^:]+)" for part in key.about[:-1]} | {
        part: f"(?P<{part}>.+)" for part in key.about[-1:]
    }
    return re.compile(key.pattern.format(**parts), re.DOTALL)


def _escaped(symbol: str) -> str:
    return re.sub(r"([*?\[\]\\^])", r"\\\1", symbol)


def _fields(message: str) -> Mapping[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
