insert into archive_quarantine (dataset, journal, entry_id, digest, kind, reason, payload, batch_id)
select %(dataset)s, journal, entry_id, digest, kind, reason, payload::json, %(batch_id)s
from unnest(%(journals)s::text[], %(entry_ids)s::text[], %(digests)s::text[], %(kinds)s::text[], %(reasons)s::text[],
            %(payloads)s::text[]) as rejected (journal, entry_id, digest, kind, reason, payload)
on conflict (dataset, journal, entry_id, digest) do nothing
returning journal, entry_id, digest
