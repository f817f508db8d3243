"""Tests of `trading_data.orchestration`."""
