-- name: read_rows
-- Bounds are values, so that only the chunks of the range are looked at.
copy (
    select {columns} from {relation}
    where {time} >= %(start)s and {time} < %(end)s
      and (%(subjects)s::text[] is null or {filter} = any(%(subjects)s::text[]) {or_also})
) to stdout (format csv)

-- name: rows_as_of
-- For each row the version that was archived at a moment: the row itself if its batch was archived by then, else the newest
-- replaced version whose batch was, and which was replaced after it, unless retention has dropped its day. A version that was
-- replaced within its own batch was never in the archive: it came and went with one ledger row. From low to high a row may be kept.
copy (
    select {columns} from {table} as known
    join archive_ledger as made on made.batch_id = known.batch_id
    where known.{time} >= %(low)s and known.{time} < %(high)s and {said} >= %(start)s and {said} < %(end)s
      and made.archived_at <= %(as_of)s
      and (%(subjects)s::text[] is null or known.{filter} = any(%(subjects)s::text[]))
    union all
    select {old_columns} from (
        select distinct on (revision.subject, {of_subject}) revision.old
        from archive_revision as revision
        join archive_ledger as made on made.batch_id = revision.old_batch
        join archive_ledger as ended on ended.batch_id = revision.replaced_by
        where revision.dataset = %(dataset)s
          and revision."timestamp" >= %(start)s and revision."timestamp" < %(end)s
          and not exists (
              select from archive_dropped as gone
              where gone.dataset = %(dataset)s and gone.day = (revision."timestamp" at time zone 'UTC')::date
          )
          and (%(keys)s::text[] is null or revision.subject = any(%(keys)s::text[]))
          and made.archived_at <= %(as_of)s and ended.archived_at > %(as_of)s
        order by revision.subject, {of_subject}, revision.revision_id desc
    ) as revision
    cross join lateral jsonb_populate_record(null::{table}, revision.old) as old
    where %(subjects)s::text[] is null or old.{filter} = any(%(subjects)s::text[])
) to stdout (format csv)

-- name: newest_rows
-- The newest row of each subject at or after a moment: one index descent a subject (LATERAL), not a scan.
copy (
    select {found_columns} from unnest(%(subjects)s::text[]) as asked (subject)
    cross join lateral (
        select * from {table} where {subject} = asked.subject and {time} >= %(low)s::timestamptz order by {time} desc limit 1
    ) as found
) to stdout (format csv)

-- name: newest_day
-- The newest day of which a dataset has rows.
select max(day) from archive_coverage where dataset = %(dataset)s

-- name: moment_after
-- Of the first rows of a range (one more than are wanted): first moment, last moment, how many.
select min(moment), max(moment), count(*) from (
    select {time} as moment from {relation}
    where {time} >= %(start)s and {time} < %(end)s
      and (%(subjects)s::text[] is null or {filter} = any(%(subjects)s::text[]))
    order by {time} limit %(rows)s::bigint + 1
) as first_rows

-- name: occupied
-- The ranges of the chunks of a hypertable, and of a continuous aggregate, whose chunks outlive those of its raw rows.
select range_start, range_end from timescaledb_information.chunks
where range_end > %(start)s and range_start < %(end)s
  and (hypertable_schema = current_schema() and hypertable_name = %(table)s
       or (hypertable_schema, hypertable_name) in (
           select materialization_hypertable_schema, materialization_hypertable_name
           from timescaledb_information.continuous_aggregates
           where view_schema = current_schema() and view_name = %(view)s::text))
order by range_start

-- name: ranges_as_json
-- The archived ranges of a dataset's journals, all or some: {journal: [[incarnation, after, last, anchor], …]}.
select coalesce(json_object_agg(journal, ranges), '{{}}') from (
    select journal, json_agg(json_build_array(incarnation, after_id, last_id, anchor)) from archive_range
    where dataset = %(dataset)s and (%(journals)s::text[] is null or journal = any(%(journals)s::text[]))
    group by journal
) as of_journal (journal, ranges)

-- name: stale_ranges
-- Where an aggregate is yet to be refreshed.
select min(low), max(high) from archive_refresh
where aggregate = any(%(aggregates)s) and high >= %(start)s and low < %(end)s
group by day

-- name: row_origins
-- Where these rows came from: place in the question, batch, door, and between which moments it was accepted (µs).
select asked.at, known.batch_id, coalesce(made.origin, ''),
       coalesce((extract(epoch from made.accepted_first) * 1000000)::bigint, 0),
       coalesce((extract(epoch from coalesce(made.accepted_last, made.drained_at)) * 1000000)::bigint, 0)
from unnest(%(subjects)s::text[], %(names)s::{named_as}[]) with ordinality as asked ({subject}, {named}, at)
join {table} as known on {same_row}
left join archive_ledger as made on made.batch_id = known.batch_id
where known.{time} between %(low)s and %(high)s and known.{subject} = any(%(subjects)s::text[])

-- name: row_versions
-- All versions of the rows of a range, of one subject or of all (null): replaced ones with the number of their replacement, and the
-- present row, which has neither a successor nor a number. Present rows are searched from low to high.
select {columns}, known.batch_id, null::bigint as replaced_by, null::timestamptz as replaced_at, null::bigint as number
from {table} as known
where known.{time} >= %(low)s and known.{time} < %(high)s and {moment} >= %(start)s and {moment} < %(end)s
  and (%(subject)s::text is null or known.{subject} = %(subject)s::text)
union all
select {old_columns}, revision.old_batch, revision.replaced_by, revision.replaced_at, revision.revision_id
from archive_revision as revision
cross join lateral jsonb_populate_record(null::{table}, revision.old) as old
where revision.dataset = %(dataset)s
  and revision."timestamp" >= %(start)s and revision."timestamp" < %(end)s
  and (%(subject)s::text is null or revision.subject = %(subject)s::text)
