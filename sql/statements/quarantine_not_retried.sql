-- The rejected entries of a dataset that became no row: waiting, or given up.
select quarantine_id, journal, entry_id, kind, reason, payload::text, batch_id, settled
from archive_quarantine
where dataset = %(dataset)s and (settled is null or settled = 'discarded')
order by quarantine_id
