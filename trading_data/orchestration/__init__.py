"""Dagster's side of the system, one module a Dagster noun.

Belongs here: partitions, resources, assets, checks, jobs, schedules, sensors, and `build` which composes them. Does not:
logic. What an asset does is in `intake`, `archive` and `aggregates`, which never import Dagster.
"""
