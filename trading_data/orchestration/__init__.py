"""Dagster's side of the system, one module for each Dagster noun; `build` composes them.

Names are declared in `declared`, tags in `tags`. The logic that assets run is in `intake`, `archive` and `operations`, which never
import Dagster.
"""
