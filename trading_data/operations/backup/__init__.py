"""Backups of both tiers and the intake, restoring them, and proving every week that they can be restored.

The order is Redis, then the intake's waiting batches, then TimescaleDB, so that at each moment of the copy an entry is in
what is still to be copied or was copied already: what the archive of a moment lacks is in the journals of an earlier one, and
a batch that Redis calls drained lies in the intake that is copied later, or is committed in the archive that is copied last.

Belongs here: taking, keeping, listing, restoring and drilling backups, free of Dagster. Does not: assets and jobs
(`orchestration`), printing (`cli`), WAL archiving, which is the server's own.
"""
