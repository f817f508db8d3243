"""The live tier: what is in Redis or Valkey, and how producers, readers and the archiver reach it.

Belongs here: `keys` (names and lifetimes), `connection`, `store` (the producers' and strategies' API, with `state` and
`moves`, `subscribe` and `cache`), `journal` (the archiver's view of the streams), `memory` (how full it is), `strange` (keys
of ours that others wrote). Does not: anything that knows of the archive.
"""
