"""When a market is open: exchange calendars, and what a day without rows means.

Belongs here: `calendar` (sessions, filters, expected minutes), `open_intervals` (arithmetic on them), `states` (what coverage
means for a day), `gap_plot`. Does not: holidays themselves, which the library `exchange_calendars` knows, and reading rows.
"""

from trading_data.calendars.calendar import TradingCalendar

__all__ = ["TradingCalendar"]
