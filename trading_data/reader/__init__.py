"""The reader: one answer from both tiers, one row per key, at every moment of an archival in flight. It writes nothing.

`market_data` is the public API. A call goes through `query` (arguments), `rows` or `stream` (what is read for an answer),
`tiers` (the tiers at one moment), `pending` (journals and intake), `archive_queries` (TimescaleDB), `merge` (one row per key) and
`frames` (pandas or Arrow). `gaps` and `names` are questions beside it.
"""
