"""Tests of `trading-data bench`: forms and fairness, never speed."""
