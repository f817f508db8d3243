select batch_id, origin, content_hash, snapshot_run, load_run, drained_at, archived_at, journals
from archive_ledger
where batch_id = any(%(batches)s::bigint[])
