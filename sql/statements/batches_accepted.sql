-- The earliest and latest acceptance of the entries of batches: microseconds since 1970.
select batch_id, coalesce((extract(epoch from accepted_first) * 1000000)::bigint, 0),
       (extract(epoch from coalesce(accepted_last, drained_at)) * 1000000)::bigint
from archive_ledger where batch_id = any(%(batches)s)
