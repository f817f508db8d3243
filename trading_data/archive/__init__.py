"""The archive tier: TimescaleDB, and how batches get there.

`load` is the only way in; it uses `known`, `plan`, `stage` and `write_books`, in this order. `quarantine` has rejected entries,
`ledger` reads the bookkeeping, `trim` cuts the journals, `schema` migrates, `aggregates` refreshes, `verify` audits.
"""
