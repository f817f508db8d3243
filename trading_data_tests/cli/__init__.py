"""Tests of `trading_data.cli`."""
