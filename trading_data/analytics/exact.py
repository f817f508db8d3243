"""Exact numbers: arithmetic that never rounds unnoticed, and the two places where a quotient has to be rounded.

Sums and products of the dataset's numbers (38 digits, 18 of them behind the point) fit into the context used here; one that
did not would be an error, not a rounded number. Belongs here: contexts, checks, division. Does not: what is added to what.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from trading_data.datasets.rules import DIGITS, SCALE
from trading_data.errors import BadInput

EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""For sums, differences and products: what cannot be had exactly is an error."""
ZERO = Decimal(0)

_ROUNDING = Context(prec=400, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_STEP = Decimal(1).scaleb(-SCALE)


def number(value: object, what: str) -> Decimal:
    """`value` as an exact number of the dataset's range.

    Raises:
        BadInput: it is none: a float, not finite, or of too many digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadInput(f"{what} must be an exact number (decimal.Decimal), not {value!r:.60}")
    decimal = Decimal(value)
    if not decimal.is_finite():
        raise BadInput(f"{what} is {value}, not a finite number")
    if decimal and (decimal.adjusted() >= DIGITS - SCALE or _behind(decimal) > SCALE):
        raise BadInput(f"{what} {value!s:.60} has more than {DIGITS - SCALE} digits before or {SCALE} behind the point")
    return decimal


def divided(dividend: Decimal, divisor: Decimal) -> Decimal:
    """The quotient, rounded half to even at 18 places behind the point."""
    return _ROUNDING.quantize(_ROUNDING.divide(dividend, divisor), _STEP)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """What of `amount` falls to `part` of `whole`, rounded as `divided`."""
    return divided(EXACT.multiply(amount, part), whole)


def tidy(value: Decimal) -> Decimal:
    """The same number without superfluous zeros, exponent or negative zero."""
    found = EXACT.normalize(value)
    if not found:
        return ZERO
    return found if int(found.as_tuple().exponent) <= 0 else EXACT.quantize(found, Decimal(1))


def _behind(value: Decimal) -> int:
    exponent = int(value.as_tuple().exponent)
    return -exponent if exponent >= -SCALE else -int(_ROUNDING.normalize(value).as_tuple().exponent)
