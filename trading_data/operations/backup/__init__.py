"""Backups of both tiers and the intake, their restore, and a weekly drill which proves that they can be restored.

The order is Redis, then the waiting batches of the intake, then TimescaleDB. Entries move in this order, too, so each is copied at
least once: an entry that is not yet in the archive is in the journals that were copied before, and a drained batch is in the
intake that is copied later, or committed in the archive that is copied last.

Belongs here: creating, pruning, listing, restoring and drilling backups, free of Dagster. Does not: assets and jobs
(`orchestration`), printing (`cli`), WAL archiving, which is the server's own.
"""
