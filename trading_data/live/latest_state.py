"""The state of a trading system in the live tier: a setter and a getter for each kind of key without a journal.

A setter replaces a whole hash, sets its lifetime and publishes it, in one transaction. A getter takes one symbol and returns
its record or None; or several and returns the records there are; or none and returns all.

Belongs here: the public methods, by kind of key. Does not: journals (`live.store`), and changes of several keys at once
(`live.position_transitions`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

from trading_data.datasets.records import Bar
from trading_data.errors import BadInput, WrongContent
from trading_data.live.connection import Client
from trading_data.live.field_types import FLOAT, NAME, plain_number
from trading_data.live.hash_codec import ACTIVE, BARS, CONTEXT, INDICATORS, MONITORING, SENTIMENT, SIGNALS, R, Shape
from trading_data.live.journal import raw, text
from trading_data.live.keys import KEYS, LiveKey
from trading_data.live.reads import Found, as_text, ask, listed, read_all, read_many, read_one
from trading_data.live.records import Indicators, MarketContext, Position, Sentiment, Signal
from trading_data.live.writes import Command, Write, commit

_WATCHLIST, _CANDIDATES, _SYSTEM, _PERFORMANCE = (
    KEYS[name] for name in ("watchlist", "candidates", "system", "performance")
)
_MEMBERS = 1000
"""Members per command."""


class LatestState:
    """Setters and getters, as methods of `LiveStore`.

    All of them raise LiveTierError when the server is unavailable. Setters raise LiveTierFull when it is full, and BadInput for
    values that are not legal, before anything is written. Getters of one key raise WrongContent when it has another type, or
    a field is missing or malformed; getters of many keys return these errors in `problems` of the result.
    """

    _client: Client

    @overload
    def latest_bars(self, symbols: str) -> Bar | None: ...  # type: ignore[overload-overlap]
    @overload
    def latest_bars(self, symbols: Iterable[str] | None = None) -> Found[Bar]: ...
    def latest_bars(self, symbols: str | Iterable[str] | None = None) -> Bar | Found[Bar] | None:
        """The latest bar of one symbol (or None), of several, or of all."""
        return self._get(BARS, symbols)

    def set_indicators(self, indicators: Indicators | Iterable[Indicators]) -> None:
        """Set the indicators of one or several symbols; they expire."""
        self._set(INDICATORS, indicators)

    @overload
    def indicators(self, symbols: str) -> Indicators | None: ...  # type: ignore[overload-overlap]
    @overload
    def indicators(self, symbols: Iterable[str] | None = None) -> Found[Indicators]: ...
    def indicators(self, symbols: str | Iterable[str] | None = None) -> Indicators | Found[Indicators] | None:
        """The indicators of one symbol (or None), of several, or of all."""
        return self._get(INDICATORS, symbols)

    def set_sentiment(self, sentiment: Sentiment | Iterable[Sentiment]) -> None:
        """Set the sentiment about one or several symbols; it expires."""
        self._set(SENTIMENT, sentiment)

    @overload
    def sentiment(self, symbols: str) -> Sentiment | None: ...  # type: ignore[overload-overlap]
    @overload
    def sentiment(self, symbols: Iterable[str] | None = None) -> Found[Sentiment]: ...
    def sentiment(self, symbols: str | Iterable[str] | None = None) -> Sentiment | Found[Sentiment] | None:
        """The sentiment about one symbol (or None), about several, or about all."""
        return self._get(SENTIMENT, symbols)

    def set_market_context(self, context: MarketContext) -> None:
        """Set the market's context; it expires."""
        self._set(CONTEXT, context)

    def market_context(self) -> MarketContext | None:
        """The market's context, or None."""
        return read_one(self._client, CONTEXT)

    def set_active_positions(self, positions: Position | Iterable[Position]) -> None:
        """Set open positions, for a new stop or after a reconciliation; `open_position` opens one and journals its fill."""
        self._set(ACTIVE, positions)

    @overload
    def active_positions(self, symbols: str) -> Position | None: ...  # type: ignore[overload-overlap]
    @overload
    def active_positions(self, symbols: Iterable[str] | None = None) -> Found[Position]: ...
    def active_positions(self, symbols: str | Iterable[str] | None = None) -> Position | Found[Position] | None:
        """The open position in one symbol (or None), in several, or all."""
        return self._get(ACTIVE, symbols)

    def remove_active_positions(self, symbols: str | Iterable[str]) -> int:
        """Delete positions that are not open after all; returns how many there were. `close_position` closes one."""
        return self._remove(ACTIVE, symbols)

    def set_monitored_positions(self, positions: Position | Iterable[Position]) -> None:
        """Set positions to watch with a view to opening them."""
        self._set(MONITORING, positions)

    @overload
    def monitored_positions(self, symbols: str) -> Position | None: ...  # type: ignore[overload-overlap]
    @overload
    def monitored_positions(self, symbols: Iterable[str] | None = None) -> Found[Position]: ...
    def monitored_positions(self, symbols: str | Iterable[str] | None = None) -> Position | Found[Position] | None:
        """The monitored position in one symbol (or None), in several, or all."""
        return self._get(MONITORING, symbols)

    def remove_monitored_positions(self, symbols: str | Iterable[str]) -> int:
        """Stop monitoring positions; returns how many there were."""
        return self._remove(MONITORING, symbols)

    def set_signals(self, signals: Signal | Iterable[Signal]) -> None:
        """Set signals, one per type and symbol; they expire."""
        self._set(SIGNALS, signals)

    @overload
    def signals(self, signal_type: str, symbols: str) -> Signal | None: ...  # type: ignore[overload-overlap]
    @overload
    def signals(self, signal_type: str, symbols: Iterable[str] | None = None) -> Found[Signal]: ...
    def signals(self, signal_type: str, symbols: str | Iterable[str] | None = None) -> Signal | Found[Signal] | None:
        """The signal of a type for one symbol (or None), for several, or for all."""
        return self._get(SIGNALS, symbols, signal_type=signal_type)

    def remove_signals(self, signal_type: str, symbols: str | Iterable[str]) -> int:
        """Withdraw signals of a type before they expire; returns how many there were."""
        return self._remove(SIGNALS, symbols, signal_type=signal_type)

    def set_watchlist(self, symbols: str | Iterable[str]) -> None:
        """Replace the watchlist."""
        names = _names(symbols)
        key = raw(_WATCHLIST.pattern)
        added = [("SADD", key, *members) for members in _blocks([raw(name) for name in names])]
        self._commit(_WATCHLIST, [("DEL", key), *added], {"set": names})

    def add_to_watchlist(self, symbols: str | Iterable[str]) -> int:
        """Add symbols; returns how many are new."""
        names = _names(symbols)
        commands = [("SADD", raw(_WATCHLIST.pattern), *block) for block in _blocks([raw(name) for name in names])]
        return self._commit(_WATCHLIST, commands, {"added": names}, adds=True)

    def remove_from_watchlist(self, symbols: str | Iterable[str]) -> int:
        """Remove symbols; returns how many of them were on it."""
        names = _names(symbols)
        commands = [("SREM", raw(_WATCHLIST.pattern), *block) for block in _blocks([raw(name) for name in names])]
        return self._commit(_WATCHLIST, commands, {"removed": names}, adds=True)

    def watchlist(self) -> set[str]:
        """The symbols on the watchlist."""
        key = _WATCHLIST.pattern
        return {text(name) for name in ask(self._client, _WATCHLIST, key, lambda server: server.smembers(key))}

    def set_candidates(self, scores: Mapping[str, float]) -> None:
        """Replace the ranking of candidates, symbol → score."""
        key = raw(_CANDIDATES.pattern)
        texts, members = _scores(scores)
        added = [("ZADD", key, *block) for block in _blocks(members)]
        self._commit(_CANDIDATES, [("DEL", key), *added], {"set": texts})

    def rank_candidates(self, scores: Mapping[str, float]) -> None:
        """Add candidates, or change their scores; the others stay as they are."""
        texts, members = _scores(scores)
        commands = [("ZADD", raw(_CANDIDATES.pattern), *block) for block in _blocks(members)]
        self._commit(_CANDIDATES, commands, {"ranked": texts}, adds=True)

    def remove_candidates(self, symbols: str | Iterable[str]) -> int:
        """Remove candidates; returns how many there were."""
        names = _names(symbols)
        commands = [("ZREM", raw(_CANDIDATES.pattern), *block) for block in _blocks([raw(name) for name in names])]
        return self._commit(_CANDIDATES, commands, {"removed": names}, adds=True)

    def candidates(self, top: int | None = None) -> dict[str, float]:
        """Symbol → score, the highest first; all, or the `top` highest."""
        if top is not None and top < 1:
            raise BadInput(f"top must be 1 or more, not {top}")
        key, last = _CANDIDATES.pattern, -1 if top is None else top - 1
        ranked = ask(self._client, _CANDIDATES, key, lambda server: server.zrevrange(key, 0, last, withscores=True))
        return {text(name): float(score) for name, score in ranked}

    def set_system_state(self, states: Mapping[str, str | None]) -> None:
        """Set the states of components; None removes a component. Components not named keep their state."""
        key = raw(_SYSTEM.pattern)
        for component, state in states.items():
            NAME.encode(component, "component")
            if state is not None:
                NAME.encode(state, f"state of {component!r}")
        given = [raw(part) for name, state in states.items() if state is not None for part in (name, state)]
        gone = [raw(name) for name, state in states.items() if state is None]
        commands: list[Command] = [("HSET", key, *given)] if given else []
        commands += [("HDEL", key, *gone)] if gone else []
        self._commit(_SYSTEM, commands, dict(states), adds=True)

    def system_state(self) -> dict[str, str]:
        """Component → state."""
        return self._hash(_SYSTEM)

    def performance(self) -> Found[float]:
        """Metric name → latest value, as `record_metrics` sets it; a value that is not a number is in `problems`."""
        key = _PERFORMANCE.pattern
        values: dict[str, float] = {}
        problems = []
        for name, value in self._hash(_PERFORMANCE).items():
            try:
                values[name] = plain_number(value)
            except ValueError:
                problem = f"field {name!r} of {key!r} is {value[:60]!r}, not a finite number in plain decimal: "
                problems.append(
                    WrongContent(key, problem + "record it again with LiveStore.record_metrics, or delete it")
                )
        return Found(values, problems)

    def _set(self, shape: Shape[R], records: R | Iterable[R]) -> None:
        if isinstance(records, shape.record):
            given = [records]
        elif isinstance(records, Iterable):
            given = list(records)
        else:
            raise BadInput(f"{shape.setter} takes {shape.record.__name__} records, not {records!r:.60}")
        hashes = [shape.encode(record, f"{shape.record.__name__}[{at}]") for at, record in enumerate(given)]
        commit(self._client, [Write.of_hash(shape.key, hash_.key, hash_.fields, hash_.message) for hash_ in hashes])

    def _get(self, shape: Shape[R], symbols: str | Iterable[str] | None, **about: str) -> R | Found[R] | None:
        if symbols is None:
            return read_all(self._client, shape, **about)
        if isinstance(symbols, str):
            return read_one(self._client, shape, symbol=symbols, **about)
        return read_many(self._client, shape, list(symbols), **about)

    def _remove(self, shape: Shape[R], symbols: str | Iterable[str], **about: str) -> int:
        writes = []
        for symbol in listed(symbols):
            name = shape.key.name(symbol=symbol, **about)
            writes.append(Write.removal(shape.key, name, {**about, "symbol": symbol}))
        return sum(sum(replies) for replies in commit(self._client, writes))

    def _commit(self, key: LiveKey, commands: list[Command], published: object, *, adds: bool = False) -> int:
        """Run commands on a key that is the only one of its kind; returns the sum of their replies."""
        if not commands:
            return 0
        (replies,) = commit(self._client, [Write(key, key.pattern, commands, json.dumps(published), adds)])
        return sum(replies)

    def _hash(self, key: LiveKey) -> dict[str, str]:
        return as_text(ask(self._client, key, key.pattern, lambda server: server.hgetall(key.pattern)))


def _names(symbols: str | Iterable[str]) -> list[str]:
    names = listed(symbols)
    for name in names:
        NAME.encode(name, "symbol")
    return names


def _scores(scores: Mapping[str, float]) -> tuple[dict[str, str], list[bytes]]:
    """Scores as text by symbol, and as the arguments of ZADD."""
    texts = {symbol: FLOAT.encode(score, f"score of {symbol!r}") for symbol, score in scores.items()}
    _names(texts)
    return texts, [part for symbol, score in texts.items() for part in (score.encode(), raw(symbol))]


def _blocks(members: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [members[start : start + _MEMBERS] for start in range(0, len(members), _MEMBERS)]
