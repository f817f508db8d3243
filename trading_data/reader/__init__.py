"""The reader: one answer from both tiers, one row a key, at every moment of an archival in flight.

Belongs here: `market_data` (the public API, with `options`) and what a question goes through: `question` (what is asked),
`tiers` (live, intake, archive, in this order, or what can be read of them), `rows`, `stream` and `newest` (what is looked for
there), `frames` (forms of the answer). Each tier by itself: `waiting` and `pieces` (what is not in the archive yet), `books`,
`archived` and `as_of` (TimescaleDB, by way of `columns`); `union` (one row a key). Does not: writing anything.
"""
