"""What is made of archived and live rows for people who trade: performance, backtest input, an account for auditors.

Belongs here: `performance` (sums over fills) on `fifo` (which fill closes which) and `exact` (numbers), `backtest` (bars
lined up without look-ahead), `compliance` and `provenance` (where rows came from) on `books`. Does not: indicators, risk
ratios, tax, backtesters; known libraries have them.
"""

from trading_data.analytics.backtest import backtest_input
from trading_data.analytics.compliance import compliance
from trading_data.analytics.performance import performance, round_trips
from trading_data.analytics.provenance import Provenance, Version, provenance
from trading_data.reader.gaps import gaps

__all__ = ["Provenance", "Version", "backtest_input", "compliance", "gaps", "performance", "provenance", "round_trips"]
