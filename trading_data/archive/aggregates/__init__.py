"""The continuous aggregates: `refresh` exactly what changed, `compare` with the raw rows, and `compute` the same in Python for rows
that are not in the archive yet.
"""
