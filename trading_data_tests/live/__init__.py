"""Tests of `trading_data.live`."""
