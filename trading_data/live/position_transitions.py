"""Transitions of a position that change several keys atomically: monitored, opened, reduced, closed.

On a single server a transition is one transaction, and of two concurrent callers exactly one wins. In a cluster the keys are on
several servers: there the fill is journalled first, so that it cannot be lost, and then each key is changed in its own
transaction. Repeating the call completes an interrupted transition: the fill, or the position passed in, identifies it, and a
fill that is journalled twice is one row. Two callers who pass the very same values cannot be distinguished from one caller who
repeats, and both get the same answer.

Belongs here: the transitions and their preconditions. Does not: setting positions for other reasons (`live.latest_state`).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from trading_data.datasets import TRADE
from trading_data.datasets.records import Fill
from trading_data.datasets.rules import Span
from trading_data.errors import BadInput, Refused
from trading_data.live.connection import Client
from trading_data.live.hash_codec import ACTIVE, MONITORING
from trading_data.live.journal import raw
from trading_data.live.keys import KEYS
from trading_data.live.reads import as_text
from trading_data.live.records import Position
from trading_data.live.validation import checked_fields
from trading_data.live.writes import Phase, TransactionStep, Write, take_steps
from trading_data.times import now

_CANDIDATES, _JOURNAL = KEYS["candidates"], KEYS["trade_journal"]
_EXACT = Context(prec=80)
_OPENS = {"long": "buy", "short": "sell"}
_REDUCES = {"long": "sell", "short": "buy"}


class PositionTransitions:
    """The transitions, as methods of `LiveStore`.

    All of them raise BadInput for input that is not legal, Refused when a precondition does not hold, LiveTierFull when the
    server is full, WrongContent when a key has another type or cannot be read, and LiveTierError when the server is
    unavailable. On a single server nothing was done then, unless the message says that the outcome is not known.
    """

    _client: Client
    _earliest: datetime

    def _span(self) -> Span:
        """The times that a record may have now."""
        return Span.at(now(), self._earliest)

    def monitor_candidate(self, position: Position) -> None:
        """Make a candidate a monitored position and remove it from the ranking.

        Callers compete for a candidate at its monitored position only; other changes of the ranking do not interfere. A
        candidate that is removed from the ranking at the same moment may still become monitored.

        Raises:
            Refused: the symbol is not among the candidates, for instance because another caller took it; or it is already
                monitored.
        """
        to_be = MONITORING.encode(position, "position")
        symbol = position.symbol

        def monitored(server: Any, phase: Phase) -> Write:
            present = as_text(server.hgetall(raw(to_be.key)))
            if present and not (phase is not Phase.ATOMIC and present == to_be.fields):
                raise Refused(f"{symbol!r} is already monitored: change it with set_monitored_positions")
            return Write.of_hash(MONITORING.key, to_be.key, to_be.fields, to_be.message)

        def taken(server: Any, phase: Phase) -> Write | None:
            if server.zscore(_CANDIDATES.pattern, raw(symbol)) is None:
                if phase is Phase.COMMIT:
                    return None
                raise Refused(f"{symbol!r} is not among the candidates: it was removed, or another caller took it")
            message = json.dumps({"removed": [symbol]})
            return Write(
                _CANDIDATES, _CANDIDATES.pattern, [("ZREM", _CANDIDATES.pattern, raw(symbol))], message, adds=True
            )

        ranking = TransactionStep(_CANDIDATES, _CANDIDATES.pattern, taken, watch=False)
        take_steps(self._client, [TransactionStep(MONITORING.key, to_be.key, monitored), ranking])

    def open_position(self, position: Position, fill: Fill | Mapping[str, object]) -> Position:
        """Open a position by a fill: the fill is journalled, and the symbol is no longer monitored.

        Returns:
            The position as it is kept: `last_fill` is this fill, and `opened_at`, unless given, its time.

        Raises:
            Refused: the symbol already has an open position.
            BadInput: the fill is for another symbol, or has the other side.
        """
        ACTIVE.encode(position, "position")
        entry = _fill_of(fill, position.symbol, self._span())
        opened_at = position.opened_at or datetime.fromisoformat(entry["timestamp"])
        position = replace(position, last_fill=_fill_id(entry), opened_at=opened_at)
        to_be, watched = ACTIVE.encode(position, "position"), MONITORING.key.name(symbol=position.symbol)
        if position.quantity <= 0:
            raise BadInput("position.quantity must be above 0 to open a position; nothing was written")
        if entry["side"] != _OPENS[position.side]:
            raise BadInput(f"a {entry['side']} does not open a {position.side} position; nothing was written")

        def opened(server: Any, phase: Phase) -> Write:
            present = as_text(server.hgetall(raw(to_be.key)))
            same = present.get("last_fill") == position.last_fill
            if present and not (same and phase is not Phase.ATOMIC):
                by = ", opened by this very fill" if same else ""
                raise Refused(f"{position.symbol!r} already has an open position{by}: the fill was not applied")
            return Write.of_hash(ACTIVE.key, to_be.key, to_be.fields, to_be.message)

        def left(server: Any, _: Phase) -> Write | None:
            return (
                Write.removal(MONITORING.key, watched, {"symbol": position.symbol})
                if server.exists(raw(watched))
                else None
            )

        take_steps(
            self._client,
            [
                _journalled(entry),
                TransactionStep(ACTIVE.key, to_be.key, opened),
                TransactionStep(MONITORING.key, watched, left),
            ],
        )
        return ACTIVE.decode(to_be.key, to_be.about, to_be.fields)

    def reduce_position(self, symbol: str, fill: Fill | Mapping[str, object]) -> Position | None:
        """Subtract a fill from an open position and journal it; the position is closed when its quantity reaches 0.

        Returns:
            The remaining position, or None if it is closed.

        Raises:
            Refused: there is no open position, or it is smaller than the fill, or the fill has the opening side, or it was
                applied before.
            BadInput: the fill is for another symbol.
        """
        return self._reduce(symbol, fill, closing=False)[1]

    def close_position(self, symbol: str, fill: Fill | Mapping[str, object]) -> Position:
        """Close an open position by a fill of exactly its quantity, and journal it; raises as `reduce_position`.

        Returns:
            The position as it was before.
        """
        return self._reduce(symbol, fill, closing=True)[0]

    def _reduce(
        self, symbol: str, fill: Fill | Mapping[str, object], *, closing: bool
    ) -> tuple[Position, Position | None]:
        entry, name = _fill_of(fill, symbol, self._span()), ACTIVE.key.name(symbol=symbol)
        outcome: list[tuple[Position, Position | None]] = []

        def reduced(server: Any, _: Phase) -> Write:
            present = as_text(server.hgetall(raw(name)))
            if not present:
                raise Refused(
                    f"{symbol!r} has no open position: it was closed, or never opened; the fill was not applied"
                )
            before = ACTIVE.decode(name, {"symbol": symbol}, present)
            after = _after_fill(before, entry, closing=closing)
            outcome[:] = [(before, after)]
            if after is None:
                return Write.removal(ACTIVE.key, name, {"symbol": symbol})
            to_be = ACTIVE.encode(after, "position")
            return Write.of_hash(ACTIVE.key, name, to_be.fields, to_be.message)

        take_steps(self._client, [_journalled(entry), TransactionStep(ACTIVE.key, name, reduced)])
        return outcome[0]


def _fill_of(fill: Fill | Mapping[str, object], symbol: str, span: Span) -> dict[str, str]:
    """The validated fields of a fill for a symbol."""
    entry = checked_fields(TRADE, fill, 0, span)
    if entry["symbol"] != symbol:
        raise BadInput(f"the fill is for {entry['symbol']!r}, not {symbol!r}; nothing was written")
    return entry


def _fill_id(entry: Mapping[str, str]) -> str:
    return f"{entry['order_id']}/{entry['execution_id']}"


def _after_fill(position: Position, entry: Mapping[str, str], *, closing: bool) -> Position | None:
    """The position less a fill, None if its quantity reaches 0. Raises Refused."""
    symbol, filled = position.symbol, Decimal(entry["quantity"])
    if position.last_fill == _fill_id(entry):
        raise Refused(
            f"fill {position.last_fill} is already part of the position in {symbol!r}; it was not applied again"
        )
    if entry["side"] != _REDUCES[position.side]:
        raise Refused(f"{symbol!r} is {position.side}: a {entry['side']} does not reduce it; the fill was not applied")
    left = _EXACT.subtract(position.quantity, filled)
    if left < 0:
        raise Refused(
            f"the fill of {filled:f} is more than the {position.quantity:f} of the open position in {symbol!r}; it was not "
            "applied"
        )
    if closing and left:
        raise Refused(
            f"the fill of {filled:f} leaves {left:f} of the position in {symbol!r} open: use reduce_position; nothing was done"
        )
    return replace(position, quantity=left, last_fill=_fill_id(entry)) if left else None


def _journalled(entry: Mapping[str, str]) -> TransactionStep:
    """The step that journals a fill, in the same form as `record_trades`."""
    pairs = [part for name in TRADE.fields for part in (name, entry[name])]
    write = Write(_JOURNAL, TRADE.journal, [("XADD", TRADE.journal, "*", *pairs)], json.dumps(entry), adds=True)
    return TransactionStep(_JOURNAL, TRADE.journal, lambda *_: write, watch=False)
