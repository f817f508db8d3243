"""Tests of `trading_data.analytics`."""
