"""The live tier: what is in Redis or Valkey, and how producers, readers and the archiver reach it.

Belongs here: `keys` (names and lifetimes), `connection`, `store` (the producers' and strategies' API), `journal` (the
archiver's view of the streams), `memory` (how full it is). Does not: anything that knows of the archive.
"""
