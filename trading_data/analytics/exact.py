"""Exact arithmetic that never rounds silently, and the two functions in which a quotient has to be rounded.

Sums and products of the dataset's numbers (38 digits, 18 of them decimal places) fit into the context used here; one that did not
would raise an error instead of being rounded.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

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


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The share of `amount` that belongs to `part` of `whole`, rounded as by `quotient`."""
    return quotient(EXACT.multiply(amount, part), whole)


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros, exponent or negative zero."""
    normalized = EXACT.normalize(value)
    if not normalized:
        return ZERO
    return normalized if int(normalized.as_tuple().exponent) <= 0 else EXACT.quantize(normalized, Decimal(1))


def _decimal_places(value: Decimal) -> int:
    exponent = int(value.as_tuple().exponent)
    return -exponent if exponent >= -SCALE else -int(_ROUNDING.normalize(value).as_tuple().exponent)
