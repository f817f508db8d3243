"""Tests of `trading_data.intake.state`."""
