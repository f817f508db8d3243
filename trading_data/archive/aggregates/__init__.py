"""The continuous aggregates: refreshing exactly what changed, finest first, and comparing them with the raw rows.

Belongs here: `refresh`, `compare`, `compute` (an aggregate in Python, for rows not in the archive yet). Does not: loading.
"""
