insert into archive_watermark as known (dataset, journal, entry_id, highest_id, entries, batch_id)
select %(dataset)s, journal, entry_id, highest_id, entries, %(batch_id)s
from unnest(%(journals)s::text[], %(entry_ids)s::text[], %(highest_ids)s::text[], %(entries)s::bigint[])
     as moved (journal, entry_id, highest_id, entries)
on conflict (dataset, journal) do update
set entry_id = excluded.entry_id, highest_id = excluded.highest_id, entries = known.entries + excluded.entries,
    batch_id = excluded.batch_id, archived_at = now()
