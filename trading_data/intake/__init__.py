"""The intake: what has left its source and is not yet in the archive, as Parquet files.

Belongs here: `batch` (what a file holds), `store` (where files lie), `entries` (raw entries to a batch), `snapshot`
(draining the journals), `sample` (latest values of producers that do not journal), `take` (files and vendor history).
Does not: loading (`archive.load`).
"""
