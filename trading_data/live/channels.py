"""Channels and what arrives on them: every publication is on the channel that has the key's own name.

Belongs here: which channels a subscription has, and a message's meaning. Does not: connections (`live.subscribe`).
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
"""A bar that is the newest of its symbol is published as `stocks:price:…`, a late one as `journal:price:…`."""
KINDS = tuple(name for name in KEYS if name != "cache")
"""Kinds of keys that are published, by their names in `KEYS`. Measurements are published as `performance`."""


@dataclass(frozen=True)
class Update:
    """One publication, or one value found after a gap.

    Attributes:
        channel: the channel, which is the name of the key.
        kind: the name of that kind of key in `KEYS`.
        symbol: from the channel's name or, where that has none, from the fields; None if neither has one.
        fields: what was published, a JSON object: texts, if the library published it. Empty if it was no such thing.
        payload: what was published, as text; bytes that are not UTF-8 are lone surrogates.
        received_at: when, aware UTC.
    """

    channel: str
    kind: str
    symbol: str | None
    fields: Mapping[str, Any]
    payload: str
    received_at: datetime


@dataclass(frozen=True)
class Wanted:
    """What a subscription is about: symbols (None for all), kinds, and the channels and patterns that bring them."""

    symbols: frozenset[str] | None
    kinds: tuple[str, ...]
    channels: tuple[bytes, ...]
    patterns: tuple[bytes, ...]

    def has(self, symbol: str | None) -> bool:
        """Whether it is about a symbol; what is about none is for all."""
        return self.symbols is None or symbol is None or symbol in self.symbols

    def update(self, channel: bytes, payload: bytes, at: datetime) -> Update | None:
        """What a message means; None if it is about another symbol, or on a channel that only looks like one."""
        name, said = text(channel), text(payload)
        for kind in self.kinds:
            match = _form(kind).fullmatch(name)
            if match:
                fields = _fields(said)
                named = match.groupdict().get("symbol") or fields.get("symbol")
                symbol = named if isinstance(named, str) else None
                return Update(name, kind, symbol, fields, said, at) if self.has(symbol) else None
        return None


def wanted(symbols: str | Iterable[str] | None, kinds: str | Iterable[str]) -> Wanted:
    """The channels of `symbols` (None for all) and `kinds`.

    Raises:
        BadInput: there are no symbols or kinds in them, or a kind is unknown, or a symbol is no name.
    """
    chosen = (kinds,) if isinstance(kinds, str) else tuple(dict.fromkeys(kinds))
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown or not chosen:
        raise BadInput(
            f"there is no kind {unknown[0] if unknown else ''!r} to subscribe to; there are {', '.join(KINDS)}"
        )
    about = None if symbols is None else frozenset([symbols] if isinstance(symbols, str) else symbols)
    if about is not None and not about:
        raise BadInput("a subscription to no symbols would never bring anything: name some, or None for all")
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
    """A kind's name as a pattern: all but the last part are without colons, as `LiveKey.name` sees to."""
    key = KEYS[kind]
    parts = {part: f"(?P<{part}>[^:]+)" for part in key.about[:-1]} | {
        part: f"(?P<{part}>.+)" for part in key.about[-1:]
    }
    return re.compile(key.pattern.format(**parts), re.DOTALL)


def _escaped(symbol: str) -> str:
    return re.sub(r"([*?\[\]\\^])", r"\\\1", symbol)


def _fields(said: str) -> Mapping[str, Any]:
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
