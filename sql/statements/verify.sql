-- name: acknowledge
insert into archive_acknowledged as known (dataset, journal, what, entries, reason)
select %(dataset)s, journal, what, entries, %(reason)s
from unnest(%(journals)s::text[], %(whats)s::text[], %(entries)s::bigint[]) as lost (journal, what, entries)
on conflict (dataset, journal, what) do update
set entries = excluded.entries, reason = excluded.reason, acknowledged_at = now()

-- name: chunk_days
-- The days between two moments for which the hypertable has a chunk.
select day::date
from timescaledb_information.chunks,
     generate_series(range_start at time zone 'UTC', range_end at time zone 'UTC' - interval '1 day', interval '1 day') as day
where hypertable_schema = current_schema() and hypertable_name = %(table)s
  and range_start < %(high)s and range_end > %(low)s

-- name: day_accounts
-- Per day: the rows in the table; the rows that the ledger counts as inserted or moved there from other days, less those that moved
-- away or were dropped by retention; and the rows whose batch is not in the ledger.
with held as (
    select (known.{time} at time zone 'UTC')::date as day, count(*) as number,
           count(*) filter (where batch.batch_id is null) as unknown,
           min(known.batch_id) filter (where batch.batch_id is null) as unknown_batch
    from {table} as known
    left join archive_ledger as batch on batch.batch_id = known.batch_id and batch.dataset = %(dataset)s
    where known.{time} >= %(start)s and known.{time} < %(end)s
    group by 1
), booked as (
    select day::date as day, sum((counts->>'inserted')::bigint + coalesce((counts->>'moved')::bigint, 0)) as inserted
    from archive_ledger cross join lateral jsonb_each(days) as of_day (day, counts)
    where dataset = %(dataset)s and day::date >= %(first)s and day::date <= %(last)s
    group by 1
), dropped as (
    select day, rows from archive_dropped where dataset = %(dataset)s and day >= %(first)s and day <= %(last)s
)
select coalesce(held.day, booked.day), coalesce(number, 0), coalesce(inserted, 0) - coalesce(dropped.rows, 0),
       coalesce(unknown, 0), unknown_batch
from held
full join booked on held.day = booked.day
left join dropped on dropped.day = coalesce(held.day, booked.day)
order by 1

-- name: journals_missing
-- Entries that were gone before they could be drained, by journal, as recorded by batches after `since`; and the newest such batch.
select found->>'journal', sum((found->>'missing')::bigint), max(batch_id)
from archive_ledger cross join lateral jsonb_array_elements(journals) as found
where dataset = %(dataset)s and origin = 'journal' and missing > 0 and batch_id > %(since)s
group by 1

-- name: keys_twice
-- The number of keys that occur more than once in a range.
select count(*) from (
    select from {table} where {time} >= %(start)s and {time} < %(end)s group by {subject}, {named} having count(*) > 1
) as twice

-- name: ledger_days
-- The days to which rows were inserted or moved, by the ledger.
select day::date from archive_ledger cross join lateral jsonb_each(days) as of_day (day, counts)
where dataset = %(dataset)s and ((counts->>'inserted')::bigint > 0 or counts ? 'moved')
group by 1

-- name: ledger_faults
-- Batches whose counts do not add up, in all or by day.
select batch_id, offered, inserted + replaced + unchanged + quarantined + replayed,
       array[inserted, replaced, unchanged, quarantined],
       array[by_day_inserted, by_day_replaced, by_day_unchanged, by_day_quarantined]::bigint[]
from archive_ledger
cross join lateral (
    select coalesce(sum((counts->>'inserted')::bigint), 0) as by_day_inserted,
           coalesce(sum((counts->>'replaced')::bigint), 0) as by_day_replaced,
           coalesce(sum((counts->>'unchanged')::bigint), 0) as by_day_unchanged,
           coalesce(sum((counts->>'quarantined')::bigint), 0) as by_day_quarantined
    from jsonb_each(days) as of_day (day, counts)
) as by_day
where dataset = %(dataset)s and batch_id >= %(since)s
  and (offered <> inserted + replaced + unchanged + quarantined + replayed
       or inserted <> by_day_inserted or replaced <> by_day_replaced
       or unchanged <> by_day_unchanged or quarantined <> by_day_quarantined)
order by batch_id
limit %(most)s

-- name: ledger_totals
-- Totals of a dataset's ledger, revisions and quarantine; one statement, so that all of them are of one moment.
select count(*), coalesce(sum(inserted), 0), coalesce(sum(replaced), 0), coalesce(sum(quarantined), 0),
       (select count(*) from archive_revision where dataset = %(dataset)s),
       (select count(*) from archive_quarantine where dataset = %(dataset)s),
       coalesce(sum(offered) filter (where origin = 'journal'), 0),
       coalesce(sum(replayed) filter (where origin = 'journal'), 0),
       coalesce(sum(missing) filter (where origin = 'journal'), 0)
from archive_ledger where dataset = %(dataset)s

-- name: odd_values
-- Bars that are legal but look wrong, by kind: their number, the first of each, and their UTC days. The neighbour is the previous bar
-- of the symbol; a ratio is meaningful only for prices above zero.
with seen as (
    select {subject} as subject, {time} as moment, open, high, low, close, volume, batch_id,
           lag(close) over (partition by {subject} order by {time}) as before
    from {table}
    where {time} >= %(start)s and {time} < %(end)s
)
select kind, count(*), min(moment), (array_agg(subject order by moment, subject))[1],
       array_agg(distinct (moment at time zone 'UTC')::date)
from seen
cross join lateral (values
    ('open or close outside high and low', open not between low and high or close not between low and high),
    ('a price many times its neighbour''s', least(close, before, low, high) > 0
        and (greatest(close, before) > %(times)s * least(close, before) or high > %(times)s * low)),
    ('volume 0 and yet a range', volume = 0 and high > low)
) as judged (kind, odd)
where odd and (%(batches)s::bigint[] is null or batch_id = any(%(batches)s::bigint[]))
group by kind
order by kind

-- name: fingerprint
-- The number of rows in a range, and a hash over them that changes with any value.
select count(*), coalesce(sum(hash_record_extended(row({columns}), 0)), 0)::text from {relation}
where {time} >= %(start)s and {time} < %(end)s
