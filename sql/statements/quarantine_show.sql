select quarantine_id, dataset, journal, entry_id, kind, reason, since, settled, settled_at, payload::text
from archive_quarantine
where quarantine_id = any(%(ids)s::bigint[])
order by quarantine_id
