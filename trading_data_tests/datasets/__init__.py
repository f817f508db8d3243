"""Tests of `trading_data.datasets`."""
