"""First in, first out: which fill closes which.

This is the rule of lot accounting without lot identification: sales are charged against the earliest lots bought (for
instance U.S. Treasury Regulation § 1.1012-1(c)(1)). For short positions the sides are exchanged: purchases cover the earliest
units sold. Each strategy has its own position in each symbol, flat before its first fill. Fills are processed in the order of
(timestamp, order_id, execution_id). A fill on the opposite side closes lots from the front of the queue; the remainder after
the last lot opens a position in the other direction.

A fill's commission is divided among its parts by quantity. Each part is rounded to 18 decimal places and the last one takes
the remainder, so that the parts add up to the commission exactly.

Belongs here: the matching, and the arithmetic that never rounds silently. Does not: sums over it (`performance`), tax rules
of any country (wash sales, holding periods).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext

import pandas as pd

from trading_data.datasets.rules import DIGITS, SCALE
from trading_data.errors import BadInput

EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""For sums, differences and products: an inexact result is an error."""
ZERO = Decimal(0)

_ROUNDING = Context(prec=400, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_STEP = Decimal(1).scaleb(-SCALE)


def exact_number(value: object, name: str) -> Decimal:
    """`value` as an exact number in the range of the dataset; `name` is for messages.

    Raises:
        BadInput: it is a float, not finite, or has too many digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadInput(f"{name} must be an exact number (decimal.Decimal), not {value!r:.60}")
    decimal = Decimal(value)
    if not decimal.is_finite():
        raise BadInput(f"{name} is {value}, not a finite number")
    if decimal and (decimal.adjusted() >= DIGITS - SCALE or _decimal_places(decimal) > SCALE):
        raise BadInput(
            f"{name} {value!s:.60} has more than {DIGITS - SCALE} digits before or {SCALE} after the decimal point"
        )
    return decimal


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """The quotient, rounded half to even to 18 decimal places."""
    return _ROUNDING.quantize(_ROUNDING.divide(dividend, divisor), _STEP)


def share(amount: Decimal, part: Decimal, total: Decimal) -> Decimal:
    """The share of `amount` that belongs to `part` of `total`, rounded as by `quotient`."""
    return quotient(EXACT.multiply(amount, part), total)


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros, exponent or negative zero."""
    normalized = EXACT.normalize(value)
    if not normalized:
        return ZERO
    return normalized if int(normalized.as_tuple().exponent) <= 0 else EXACT.quantize(normalized, Decimal(1))


def _decimal_places(value: Decimal) -> int:
    exponent = int(value.as_tuple().exponent)
    return -exponent if exponent >= -SCALE else -int(_ROUNDING.normalize(value).as_tuple().exponent)


COLUMNS = ("timestamp", "order_id", "execution_id", "symbol", "side", "quantity", "price", "commission", "strategy")
_SIGNS = {"buy": 1, "sell": -1}


@dataclass
class Lot:
    """A fill or its remainder: `quantity` units at `price`, with their part of the commission."""

    order_id: str
    execution_id: str
    timestamp: datetime
    sign: int
    quantity: Decimal
    price: Decimal
    commission: Decimal

    def take(self, quantity: Decimal) -> "Lot":
        """Split off a part."""
        part = replace(self, quantity=quantity, commission=share(self.commission, quantity, self.quantity))
        self.quantity -= part.quantity
        self.commission -= part.commission
        return part


@dataclass(frozen=True)
class RoundTrip:
    """A part of one fill that closed a part of another, with equal quantities."""

    entry: Lot
    exit: Lot

    @property
    def gross(self) -> Decimal:
        """Profit before commissions."""
        return self.entry.sign * self.entry.quantity * (self.exit.price - self.entry.price)

    @property
    def commission(self) -> Decimal:
        """The commission of both parts."""
        return self.entry.commission + self.exit.commission


@dataclass
class FifoPosition:
    """The position of one strategy in one symbol: fills as they came, round trips in the order of closing, and open lots."""

    fills: list[Lot] = field(default_factory=list)
    trips: list[RoundTrip] = field(default_factory=list)
    lots: deque[Lot] = field(default_factory=deque)

    def add(self, fill: Lot) -> None:
        """Add the next fill."""
        self.fills.append(replace(fill))
        while fill.quantity and self.lots and self.lots[0].sign != fill.sign:
            quantity = min(fill.quantity, self.lots[0].quantity)
            self.trips.append(RoundTrip(self.lots[0].take(quantity), fill.take(quantity)))
            if not self.lots[0].quantity:
                self.lots.popleft()
        if fill.quantity:
            self.lots.append(fill)


def match(fills: pd.DataFrame) -> dict[tuple[str, str], FifoPosition]:
    """Positions by (strategy, symbol), in that order.

    Raises:
        BadInput: a column is missing, a value is invalid for a fill, or a fill occurs twice.
    """
    positions: dict[tuple[str, str], FifoPosition] = {}
    with localcontext(EXACT):
        for strategy, symbol, fill in _checked(fills):
            positions.setdefault((strategy, symbol), FifoPosition()).add(fill)
    return dict(sorted(positions.items()))


def _checked(fills: pd.DataFrame) -> Iterator[tuple[str, str, Lot]]:
    missing = [name for name in COLUMNS if name not in fills.columns]
    if missing:
        raise BadInput(
            f"fills have no column {', '.join(missing)}; they need {', '.join(COLUMNS)}, as `trades` returns them"
        )
    if not isinstance(fills["timestamp"].dtype, pd.DatetimeTZDtype) and len(fills):
        raise BadInput(f"timestamp must be datetime64 with a zone, not {fills['timestamp'].dtype}")
    if fills[list(COLUMNS)].isna().to_numpy().any():
        raise BadInput("a fill has a missing value: complete the fill or leave it out")
    names = ["timestamp", "order_id", "execution_id"]
    if fills.duplicated(names).any():
        repeated = fills.loc[fills.duplicated(names), names].iloc[0].tolist()
        raise BadInput(
            f"the fill {', '.join(map(str, repeated))} occurs twice and would be counted twice: leave one out"
        )
    ordered = fills.sort_values(names)
    for moment, order, execution, symbol, side, quantity, price, commission, strategy in zip(
        *(ordered[name].tolist() for name in COLUMNS), strict=True
    ):
        if side not in _SIGNS:
            raise BadInput(f"side of {order} {execution} is {side!r:.60}, neither buy nor sell")
        lot = Lot(
            order,
            execution,
            moment,
            _SIGNS[side],
            exact_number(quantity, f"quantity of {order} {execution}"),
            exact_number(price, f"price of {order} {execution}"),
            exact_number(commission, f"commission of {order} {execution}"),
        )
        if lot.quantity <= ZERO:
            raise BadInput(
                f"quantity of {order} {execution} is {quantity}: it must be above 0, the direction is in `side`"
            )
        yield strategy, symbol, lot
