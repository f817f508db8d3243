"""Tests of `trading_data.reader`."""
