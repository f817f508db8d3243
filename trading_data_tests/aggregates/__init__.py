"""Tests of `trading_data.aggregates`."""
