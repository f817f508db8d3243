"""Tests of `trading_data.state`."""
