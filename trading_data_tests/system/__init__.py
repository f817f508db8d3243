"""Tests of `trading_data.system`."""
