-- Retried and rejected again: these keep waiting, with the new reason.
update archive_quarantine as known set kind = rejected.kind, reason = rejected.reason
from unnest(%(ids)s::bigint[], %(kinds)s::text[], %(reasons)s::text[]) as rejected (quarantine_id, kind, reason)
where known.quarantine_id = rejected.quarantine_id
