"""Profit, exposure and win rate of each strategy and symbol, from fills alone.

Belongs here: sums over matched fills. Does not: the matching and its rule (`fifo`); ratios over equity curves, for which
there are libraries.
"""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any

import pandas as pd

from trading_data.analytics.fifo import EXACT, ZERO, FifoPosition, exact_number, match, plain, quotient
from trading_data.analytics.frames import AMOUNT, COUNT, TEXT, TIME, frame

_PERFORMANCE = {
    **dict.fromkeys(("strategy", "symbol"), TEXT),
    "fills": COUNT,
    **dict.fromkeys(("bought", "sold", "gross_profit", "closed_commission", "net_profit", "commission"), AMOUNT),
    **dict.fromkeys(("open_quantity", "cost_basis", "average_price", "mark", "exposure", "unrealised_profit"), AMOUNT),
    **dict.fromkeys(("round_trips", "winners", "losers"), COUNT),
    **dict.fromkeys(("win_rate", "largest_win", "largest_loss"), AMOUNT),
}
_ROUND_TRIPS = {
    **dict.fromkeys(("strategy", "symbol", "direction"), TEXT),
    "quantity": AMOUNT,
    **dict.fromkeys(("opened", "closed"), TIME),
    **dict.fromkeys(("entry_price", "exit_price", "gross_profit", "commission", "net_profit"), AMOUNT),
    **dict.fromkeys(("entry_order_id", "entry_execution_id", "exit_order_id", "exit_execution_id"), TEXT),
}


def performance(fills: pd.DataFrame, marks: Mapping[str, Decimal] | None = None) -> pd.DataFrame:
    """Realised and unrealised profit, exposure and win rate of each strategy and symbol, by FIFO matching of its fills.

    The matching and its source are described in `trading_data.analytics.fifo`. A position counts as flat before the first
    fill given, so pass all fills. The order of the rows does not matter. Fills with equal timestamps are ordered by their ids;
    this may move profit between the closed and the open part, but never changes their sum:
    gross_profit + unrealised_profit - commission = money from sales - money for purchases - commission + open_quantity * mark.

    Args:
        fills: as `MarketData.trades` returns them, or any frame with the columns `timestamp` (with a zone), `order_id`,
            `execution_id`, `symbol`, `side` (buy, sell), `quantity`, `price`, `commission` (`Decimal`), `strategy`. All
            amounts of a symbol are in one currency.
        marks: symbol to the price at which its open part is valued. Symbols without a price are valued at cost.

    Returns:
        One row a strategy and symbol, in that order; amounts are `decimal.Decimal` in the symbol's currency, exact:
        `fills` (int64), `bought`, `sold` (units);
        `gross_profit`, `closed_commission`, `net_profit` (gross_profit - closed_commission): of the closed part;
        `commission`: of all fills, the open part's included;
        `open_quantity` (units, negative when short), `cost_basis` (open units times their price, without commissions; negative
        when short), `average_price` (rounded to 18 decimal places; None when flat);
        `mark` (None when none is given), `exposure` (open_quantity * mark, or cost_basis without a mark),
        `unrealised_profit` (open_quantity * mark - cost_basis, before commissions; None without a mark unless flat);
        `round_trips`, `winners`, `losers` (int64): rows of `round_trips`, and those with a net profit above and below 0;
        `win_rate` (winners / round_trips, rounded to 18 decimal places; None without round trips), `largest_win`,
        `largest_loss` (net profit of one round trip; None without winners or losers).

    Raises:
        BadInput: a column is missing, a value is invalid for a fill, a number is a float, a fill occurs twice.
    """
    prices = {symbol: exact_number(mark, f"mark of {symbol}") for symbol, mark in (marks or {}).items()}
    with localcontext(EXACT):
        rows = [
            [strategy, symbol, *_sums(position, prices.get(symbol))]
            for (strategy, symbol), position in match(fills).items()
        ]
    return frame(rows, _PERFORMANCE)


def round_trips(fills: pd.DataFrame) -> pd.DataFrame:
    """The closed parts of positions, one row for each pair of an opening and a closing fill.

    Args:
        fills: as for `performance`.

    Returns:
        By strategy, symbol and order of closing: `strategy`, `symbol`, `direction` (long, short), `quantity`, `opened`,
        `closed` (datetime64[us, UTC]), `entry_price`, `exit_price`, `gross_profit`, `commission` (both fills' parts),
        `net_profit`, and the ids of the two fills: `entry_order_id`, `entry_execution_id`, `exit_order_id`,
        `exit_execution_id`. Amounts are `decimal.Decimal`.

    Raises:
        BadInput: as `performance`.
    """
    with localcontext(EXACT):
        rows = [
            [
                *(strategy, symbol, "long" if trip.entry.sign > 0 else "short", plain(trip.entry.quantity)),
                *(trip.entry.timestamp, trip.exit.timestamp, plain(trip.entry.price), plain(trip.exit.price)),
                *map(plain, (trip.gross, trip.commission, trip.gross - trip.commission)),
                *(trip.entry.order_id, trip.entry.execution_id, trip.exit.order_id, trip.exit.execution_id),
            ]
            for (strategy, symbol), position in match(fills).items()
            for trip in position.trips
        ]
    return frame(rows, _ROUND_TRIPS)


def _sums(position: FifoPosition, mark: Decimal | None) -> list[Any]:
    gross = sum((trip.gross for trip in position.trips), ZERO)
    closed_commission = sum((trip.commission for trip in position.trips), ZERO)
    quantity = sum((lot.sign * lot.quantity for lot in position.lots), ZERO)
    cost = sum((lot.sign * lot.quantity * lot.price for lot in position.lots), ZERO)
    nets = [trip.gross - trip.commission for trip in position.trips]
    wins, losses = [net for net in nets if net > 0], [net for net in nets if net < 0]
    value = cost if mark is None else quantity * mark
    return [
        len(position.fills),
        *(plain(sum((fill.quantity for fill in position.fills if fill.sign == sign), ZERO)) for sign in (1, -1)),
        *map(plain, (gross, closed_commission, gross - closed_commission)),
        plain(sum((fill.commission for fill in position.fills), ZERO)),
        *map(plain, (quantity, cost)),
        plain(quotient(cost, quantity)) if quantity else None,
        None if mark is None else plain(mark),
        plain(value),
        None if mark is None and quantity else plain(value - cost),
        *map(len, (nets, wins, losses)),
        plain(quotient(Decimal(len(wins)), Decimal(len(nets)))) if nets else None,
        plain(max(wins)) if wins else None,
        plain(min(losses)) if losses else None,
    ]
