"""The records of producers: `Bar`, `Fill` and `Measurement`, one class per dataset."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of one symbol. `timestamp` is aware; prices in the instrument's currency; `volume` in units."""

    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    source: str


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill of an order. `timestamp` is aware; `side` is buy or sell; numbers are exact decimals."""

    order_id: str
    timestamp: datetime
    execution_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal
    strategy: str
    source: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured value. `timestamp` is aware; `unit` may be empty."""

    metric_name: str
    timestamp: datetime
    value: float
    unit: str
