-- The rejected entries of a dataset that did not become rows: still in quarantine, or discarded.
select quarantine_id, journal, entry_id, kind, reason, payload::text, batch_id, settled
from archive_quarantine
where dataset = %(dataset)s and (settled is null or settled = 'discarded')
order by quarantine_id
