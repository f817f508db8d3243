"""The reader: one answer from both tiers, one row a key, at every moment of an archival in flight.

Belongs here: `market_data` (the public API), `waiting` (what is not in the archive yet), `archived` (reading TimescaleDB),
`union` (one row a key). Does not: writing anything.
"""
