"""trading_data: the data backbone of a trading system.

Redis holds what is live, TimescaleDB holds history, Dagster carries the one into the other and loses nothing.

    from trading_data import LiveStore, MarketData

Importing this opens no connection and starts nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_PLACES = {
    **dict.fromkeys(("Bar", "Fill", "Measurement"), "trading_data.datasets.records"),
    **dict.fromkeys(("Indicators", "MarketContext", "Position", "Sentiment", "Signal"), "trading_data.live.records"),
    "LiveStore": "trading_data.live.store",
    "MarketData": "trading_data.reader.market_data",
}
"""Where each name is; its module is imported on first use, because the command line needs few of them."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
