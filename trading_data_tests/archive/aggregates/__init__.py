"""Tests of `trading_data.archive.aggregates`."""
