insert into archive_acknowledged as known (dataset, journal, what, entries, reason)
select %(dataset)s, journal, what, entries, %(reason)s
from unnest(%(journals)s::text[], %(whats)s::text[], %(entries)s::bigint[]) as lost (journal, what, entries)
on conflict (dataset, journal, what) do update
set entries = excluded.entries, reason = excluded.reason, acknowledged_at = now()
