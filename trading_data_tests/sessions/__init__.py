"""Tests of `trading_data.sessions`."""
