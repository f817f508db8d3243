"""Tests of `trading_data.calendars`."""
