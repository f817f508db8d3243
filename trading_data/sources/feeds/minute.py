"""`Minute`: the records of a feed at one moment."""

from dataclasses import dataclass, field
from datetime import datetime

from trading_data.datasets.records import Bar, Fill, Measurement


@dataclass(frozen=True, slots=True)
class Minute:
    """Records that are sent together, in this order.

    `at` (aware, UTC) is the moment at which they are sent, the end of their minute. No record has a later timestamp.
    """

    at: datetime
    bars: list[Bar] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
