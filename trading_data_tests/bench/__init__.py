"""Tests of `trading-data bench`: results and fairness, never speed."""
