"""The assets, a module a group: `sources` (external), `snapshots` and `state` (live), `archive`, `aggregates`.

Belongs here: one factory a kind of asset, called once a dataset. Does not: logic.
"""
