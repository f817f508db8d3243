-- name: write_ledger
-- The time is the clock's and not the transaction's, which may have waited long for its lock.
insert into archive_ledger (
    batch_id, dataset, content_hash, origin, snapshot_run, load_run, drained_at, archived_at, accepted_first, accepted_last, journals,
    offered, inserted, replaced, unchanged, quarantined, replayed, missing,
    subjects, first_timestamp, last_timestamp, days
) values (
    %(batch_id)s, %(dataset)s, %(content_hash)s, %(origin)s, %(snapshot_run)s, %(load_run)s, %(drained_at)s, clock_timestamp(), %(accepted_first)s, %(accepted_last)s,
    %(journals)s,
    %(offered)s, %(inserted)s, %(replaced)s, %(unchanged)s, %(quarantined)s, %(replayed)s, %(missing)s,
    %(subjects)s, %(first_timestamp)s, %(last_timestamp)s, %(days)s
)

-- name: write_ranges
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

-- name: ranges
-- The archived ranges of a dataset's journals, all or some.
select journal, incarnation, after_id, last_id, anchor, added, entries from archive_range
where dataset = %(dataset)s and (%(journals)s::text[] is null or journal = any(%(journals)s::text[]))

-- name: note_disagreement
insert into archive_disagreement as known_pair (dataset, day, winner, loser, compared, beyond, largest)
select %(dataset)s, (known.{time} at time zone 'UTC')::date, known.source, revision.old->>'source', count(*),
       count(*) filter (where {difference} > %(tolerance)s), max({difference})
from archive_revision as revision
join {table} as known on known.{subject} = revision.subject and known.{time} = revision."timestamp"
where revision.revision_id > %(before)s and revision.dataset = %(dataset)s
  and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
  and known.source <> revision.old->>'source'
group by 2, 3, 4
on conflict (dataset, day, winner, loser) do update
set compared = known_pair.compared + excluded.compared, beyond = known_pair.beyond + excluded.beyond,
    largest = greatest(known_pair.largest, excluded.largest)

-- name: batch_ranges
-- The part of a journal that each of these batches holds. Batches of releases before 0.2 have no incarnation.
select batch_id, journal, coalesce(incarnation, 1 + coalesce(rewound, false)::int), after, last, first
from archive_ledger
cross join lateral jsonb_to_recordset(journals)
    as entry (journal text, incarnation bigint, rewound boolean, after text, first text, last text)
where batch_id = any(%(batches)s) and origin = 'journal' and journal = any(%(journals)s)

-- name: batches_accepted
-- The earliest and latest acceptance of the entries of batches: microseconds since 1970.
select batch_id, coalesce((extract(epoch from accepted_first) * 1000000)::bigint, 0),
       (extract(epoch from coalesce(accepted_last, drained_at)) * 1000000)::bigint
from archive_ledger where batch_id = any(%(batches)s)

-- name: last_drained
-- When the newest archived batch that came from journals was drained.
select drained_at from archive_ledger where dataset = %(dataset)s and origin = 'journal' order by batch_id desc limit 1

-- name: loaded_batches
-- Which of these batches are loaded, the newest batch of the dataset, which ranges of journals are archived, which days between two
-- retention has dropped, and where some aggregates do not show the raw rows yet: [[first, last moment], …].
select array(select content_hash from archive_ledger where content_hash = any(%(hashes)s::text[])),
       coalesce((select max(batch_id) from archive_ledger where dataset = %(dataset)s), 0),
       ({ranges_as_json}),
       array({dropped_days}),
       array(select array[low, high] from ({stale_ranges}) as stale (low, high))

-- name: ledger_batches
select batch_id, origin, content_hash, snapshot_run, load_run, drained_at, archived_at, journals
from archive_ledger
where batch_id = any(%(batches)s::bigint[])
