"""The live tier: the data in Redis or Valkey, and the access of producers, readers and the archiver.

Start with `keys` (names and lifetimes), `connection`, `store` (the API of producers and strategies, with `latest_state`,
`position_transitions`, `subscribe` and `cache`), and `journal` (the archiver's view of the streams). Nothing here knows of
the archive.
"""
