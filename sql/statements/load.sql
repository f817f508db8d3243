-- name: stage
-- Rows of the batch with their position in it.
create temporary table stage (like {table} including defaults, entry integer not null) on commit drop

-- name: changed
-- The staged rows that replace the archive's, chosen before the update: an update that joins a compressed chunk decompresses
-- every row it reads, even those it does not change.
create temporary table changed on commit drop as
select stage.* from stage where stage.entry = any(%(entries)s)

-- name: changed_bounds
-- The changed rows' own subjects and moments: an update within wider bounds decompresses more than it needs.
select array_agg(distinct {subject}), min({time}), max({time}) from changed

-- name: keep_revision
insert into archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
select %(dataset)s, known.{subject}, {known_time}, {known_row}, known.batch_id, %(batch_id)s
from {table} as known
join changed on {changed_row}
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s

-- name: keep_staged
-- Versions of the batch that do not stand: each as a revision, with the batch whose version stands instead.
insert into archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
select %(dataset)s, stage.{subject}, stage.{time}, {stage_row}, stage.batch_id, kept.replaced_by
from stage
join unnest(%(entries)s::int[], %(replaced_by)s::bigint[]) as kept (entry, replaced_by) on kept.entry = stage.entry
order by stage.entry

-- name: moments_taken
-- The moments at which the archive keeps rows of the staged rows' subjects, in the minutes of these rows.
select known.{subject}, array_agg((extract(epoch from known.{time}) * 1000000)::bigint)
from {table} as known
join (select distinct {subject}, date_trunc('minute', {time}) as minute from stage where entry = any(%(entries)s)) as wanted
  on known.{subject} = wanted.{subject} and date_trunc('minute', known.{time}) = wanted.minute
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
group by known.{subject}

-- name: move_rows
-- Staged rows replace the archive's rows of another reported time (was). Rows that are not kept at the time they report are stored
-- at another moment.
select {move}(jsonb_agg(
    (to_jsonb(stage) - 'entry') || jsonb_build_object('was', moved.was)
    || case when moved.stored is null then '{{}}' else jsonb_build_object({time_name}, moved.stored, 'reported', stage.{time}) end
))
from stage
join unnest(%(entries)s::int[], %(was)s::timestamptz[], %(stored)s::timestamptz[]) as moved (entry, was, stored)
  on moved.entry = stage.entry

-- name: replace_changed
-- Subjects as a list, not as a range: TimescaleDB 2.23 fails on a range of a segment-by column here.
update {table} as known set {assignments}
from changed
where {changed_row}
  and known.{time} between %(low)s and %(high)s and known.{subject} = any(%(subjects)s)

-- name: staged_held
-- The staged rows of which the archive holds no version in these bounds, in one row; and each of which it holds other values (or that is
-- known to be equal), the origin of its row, and the time that this row reports. The bounds are values, so that no other chunk and
-- no other subject is read.
with pairs as materialized (
    select stage.entry, known.batch_id, {known_source} as source, {known_reported} as reported
    from stage
    left join {table} as known on {same_row}
        and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
    where known.batch_id is null
       or case when %(equal)s::int[] is null then ({known_values}) is distinct from ({stage_values})
               else stage.entry = any(%(equal)s::int[]) end
)
select coalesce(array_agg(entry), '{{}}'), null, '', 0, 0, '', 0 from pairs where batch_id is null
union all
select array[pairs.entry], pairs.batch_id, coalesce(made.origin, ''),
       coalesce((extract(epoch from made.accepted_first) * 1000000)::bigint, 0),
       coalesce((extract(epoch from coalesce(made.accepted_last, made.drained_at)) * 1000000)::bigint, 0),
       pairs.source, pairs.reported
from pairs
left join archive_ledger as made on made.batch_id = pairs.batch_id
where pairs.batch_id is not null

-- name: staged_kept
-- Which of these staged rows have the values of the newest revision of their source.
select stage.entry from stage
join lateral (
    select old from archive_revision as revision
    where {of_row} and revision.old->>'source' = stage.source
    order by revision_id desc limit 1
) as newest on newest.old = {stage_row}
where stage.entry = any(%(entries)s)

-- name: staged_revised
-- Which of these staged rows have the values of one of their revisions.
select distinct stage.entry from stage
join archive_revision as revision on {of_row} and revision.old = {stage_row}
where stage.entry = any(%(entries)s)

-- name: moments_held
-- At which moments the archive holds rows of each subject of a batch between its first and last moment in it (µs since 1970), at
-- most so many of them.
select subject, array(
    select (extract(epoch from {time}) * 1000000)::bigint from {table}
    where {subject} = own.subject and {time} between own.low and own.high and {time} between %(low)s and %(high)s
    limit %(most)s
)
from unnest(%(subjects)s::text[], %(lows)s::timestamptz[], %(highs)s::timestamptz[]) as own (subject, low, high)

-- name: window_is_empty
-- Whether the archive holds nothing at all in the window of a batch.
select not exists (
    select from {table}
    where {time} between %(low)s and %(high)s and {subject} between %(first)s and %(last)s
)

-- name: entry_hashes
-- The entry hashes of batches that may have an id in these milliseconds, with the parts of journals that they belong to.
select made.journals, known.hashes
from archive_entry_hash as known
join archive_ledger as made using (batch_id)
where known.dataset = %(dataset)s and known.first_ms <= %(last_ms)s and known.last_ms >= %(first_ms)s

-- name: keep_entry_hashes
insert into archive_entry_hash (batch_id, dataset, first_ms, last_ms, hashes)
values (%(batch_id)s, %(dataset)s, %(first_ms)s, %(last_ms)s, %(hashes)s)

-- name: subject_hashes
-- Which subjects have rows on which days.
select number, day, hashes from archive_subject_hash where dataset = %(dataset)s

-- name: keep_subject_hashes
-- New hashes of some days; the rows that they were merged with go.
with merged as (
    delete from archive_subject_hash where number = any(%(merged)s::bigint[])
)
insert into archive_subject_hash (dataset, day, hashes)
select %(dataset)s, day, hashes from unnest(%(days)s::date[], %(hashes)s::bytea[]) as grown (day, hashes)

-- name: confirmations
-- Confirmed rows of these days, from batches accepted at least in part at or after a moment: batch, day, number of rows and the
-- rows (null: any of the day), and when the batch's last entry was accepted (µs since 1970).
select again.batch_id, again.day, again.entries, again.said, (extract(epoch from made.accepted_last) * 1000000)::bigint
from archive_said_again as again
join archive_ledger as made on made.batch_id = again.batch_id
where again.dataset = %(dataset)s and again.day = any(%(days)s::date[]) and again.batch_id > %(batch_id)s
  and made.accepted_last >= %(since)s and (%(by_journals)s or made.origin <> 'journal')

-- name: last_confirmation
-- When the last entry of batches that confirmed rows was accepted: microseconds since 1970; null if none was since a moment.
select (extract(epoch from max(accepted_last)) * 1000000)::bigint
from archive_ledger
where dataset = %(dataset)s and unchanged > 0 and accepted_last >= %(since)s and (%(by_journals)s or origin <> 'journal')

-- name: keep_confirmations
-- The rows that a batch confirmed.
insert into archive_said_again (batch_id, dataset, day, entries, said)
select %(batch_id)s, %(dataset)s, day, entries, said
from unnest(%(days)s::date[], %(entries)s::int[], %(said)s::bytea[]) as again (day, entries, said)
