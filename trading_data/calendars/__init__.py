"""When a market is open: exchange calendars, and what a gap in its data means.

Belongs here: `calendar` (sessions, filters, expected minutes), `gaps` (closed session or missing data, asked of
`MarketData`), `stretches` (arithmetic on open stretches), `moments` (types of times). Does not: holidays themselves, which
the library `exchange_calendars` knows.
"""

from trading_data.calendars.calendar import TradingCalendar
from trading_data.reader.gaps import gaps

__all__ = ["TradingCalendar", "gaps"]
