-- Locked in the order of their ids, as the load of retried entries locks them.
with waiting as (
    select quarantine_id from archive_quarantine
    where quarantine_id = any(%(ids)s::bigint[]) and settled is null
    order by quarantine_id
    for update
)
update archive_quarantine as known
set settled = 'discarded', settled_at = now(), reason = known.reason || %(note)s
from waiting
where known.quarantine_id = waiting.quarantine_id
returning known.quarantine_id
