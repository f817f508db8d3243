-- New and grown ranges, and those that have become part of another one.
with gone as (
    delete from archive_range as known
    using unnest(%(gone_journals)s::text[], %(gone_incarnations)s::bigint[], %(gone_afters)s::text[])
          as gone (journal, incarnation, after_id)
    where known.dataset = %(dataset)s and known.journal = gone.journal and known.incarnation = gone.incarnation
      and known.after_id = gone.after_id
)
insert into archive_range as known (dataset, journal, incarnation, after_id, last_id, anchor, added, entries, batch_id)
select %(dataset)s, journal, incarnation, after_id, last_id, anchor, added, entries, %(batch_id)s
from unnest(%(journals)s::text[], %(incarnations)s::bigint[], %(afters)s::text[], %(lasts)s::text[], %(anchors)s::text[],
            %(addeds)s::numeric[], %(entries)s::bigint[])
     as grown (journal, incarnation, after_id, last_id, anchor, added, entries)
on conflict (dataset, journal, incarnation, after_id) do update
set last_id = excluded.last_id, anchor = excluded.anchor, added = excluded.added, entries = excluded.entries,
    batch_id = excluded.batch_id, archived_at = now()
