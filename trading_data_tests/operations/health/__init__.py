"""Measuring, thresholds crossed on purpose, Dagster's assets and checks of both tiers' health."""
