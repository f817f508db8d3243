"""The archive tier: what is in TimescaleDB, and how batches get there.

Belongs here: `database` (connections), `sql` (composed statements), `migrate`, `load` (the one door), `versions` (what the
entries of one key become), `copy` (rows to the server), `ledger` (reading the books), `trim` (what may leave Redis).
Does not: the aggregates, and anything that imports Dagster.
"""
