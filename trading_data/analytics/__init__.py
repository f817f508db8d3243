"""Reports from archived and live rows, for traders and auditors: performance, backtest input, compliance, provenance.

Belongs here: `performance` (sums over fills) with `fifo` (which fill closes which) and `exact` (numbers), `backtest` (bars
aligned without look-ahead), `compliance` and `provenance` (where rows came from) with `origins`. Does not: indicators, risk
ratios, tax, backtesters, for which there are libraries.
"""

from trading_data.analytics.backtest import backtest_input
from trading_data.analytics.compliance import compliance
from trading_data.analytics.performance import performance, round_trips
from trading_data.analytics.provenance import Provenance, Version, provenance
from trading_data.reader.gaps import gaps

__all__ = ["Provenance", "Version", "backtest_input", "compliance", "gaps", "performance", "provenance", "round_trips"]
