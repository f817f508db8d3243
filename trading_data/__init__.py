"""trading_data: the data backbone of a trading system.

Redis holds what is live, TimescaleDB holds history, Dagster carries the one into the other and loses nothing.

    from trading_data import LiveStore, MarketData

Importing this opens no connection and starts nothing.
"""

from trading_data.datasets.records import Bar, Fill, Measurement
from trading_data.live.records import Indicators, MarketContext, Position, Sentiment, Signal
from trading_data.live.store import LiveStore
from trading_data.reader.market_data import MarketData

__version__ = "0.1.0"

__all__ = [
    "Bar",
    "Fill",
    "Indicators",
    "LiveStore",
    "MarketContext",
    "MarketData",
    "Measurement",
    "Position",
    "Sentiment",
    "Signal",
]
