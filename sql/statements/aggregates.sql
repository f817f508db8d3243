-- name: request_refreshes
insert into archive_refresh (dataset, aggregate, day, low, high, batch_id)
select %(dataset)s, aggregate, day, low, high, %(batch_id)s
from unnest(%(aggregates)s::text[]) as aggregate,
     unnest(%(days)s::date[], %(lows)s::timestamptz[], %(highs)s::timestamptz[]) as touched (day, low, high)

-- name: refresh_requests
-- Pending refreshes, and whether the hypertable has the chunk of the day and retention has not dropped the day.
with request as (
    select aggregate, refresh_id, day, low, high from archive_refresh
    where aggregate = any(%(aggregates)s) and (%(days)s::date[] is null or day = any(%(days)s::date[]))
), refreshable as (
    select day from (select distinct day from request) as days
    where not exists (select from archive_dropped where archive_dropped.dataset = %(dataset)s and archive_dropped.day = days.day)
      and exists (select from show_chunks(%(table)s::regclass, newer_than => day::timestamp at time zone 'UTC',
                                          older_than => (day + 1)::timestamp at time zone 'UTC'))
)
select request.aggregate, request.refresh_id, request.day, request.low, request.high, refreshable.day is not null
from request left join refreshable using (day)
order by request.day, request.low

-- name: refreshable_days
-- Those of the days for which the hypertable has a chunk, one day long or not, and which retention has not dropped.
select distinct requested.day from unnest(%(days)s::date[]) as requested (day)
join timescaledb_information.chunks as chunk
  on chunk.range_start < (requested.day + 1)::timestamp at time zone 'UTC' and chunk.range_end > requested.day::timestamp at time zone 'UTC'
where chunk.hypertable_schema = current_schema() and chunk.hypertable_name = %(table)s
  and not exists (select from archive_dropped where archive_dropped.dataset = %(dataset)s and archive_dropped.day = requested.day)

-- name: refreshes_waiting
-- Of each day, how many ranges wait for an aggregate to be refreshed.
select day, count(*) from archive_refresh where dataset = %(dataset)s group by day

-- name: delete_refresh_requests
-- Does not wait for the commit to reach the disk: if a crash brings these back, they are refreshed once more.
set local synchronous_commit = off;
delete from archive_refresh where refresh_id = any(%(ids)s)

-- name: days_with_buckets
-- Those of the days for which an aggregate has a bucket.
select day from unnest(%(days)s::date[]) as day
where exists (select from {view} where bucket >= day::timestamp at time zone 'UTC' and bucket < (day + 1)::timestamp at time zone 'UTC')

-- name: unequal_buckets
-- The buckets in which an aggregate differs from the raw rows in any bit: the key, whether the aggregate has the bucket, whether the
-- raw rows give it, and the values of both.
with held as (select {columns} from {view} where bucket >= %(start)s and bucket < %(end)s),
given as (
    select {group_by}, time_bucket(%(width)s, {time}) as bucket, {measures}
    from {table}
    where {time} >= %(start)s and {time} < %(end)s
    group by {group_by}, time_bucket(%(width)s, {time})
)
select {keys}, held.bucket is not null, given.bucket is not null, {held}, {given}
from held full join given using ({keys})
where (held.bucket, {held}) is distinct from (given.bucket, {given})
order by {keys}

-- name: real_time_aggregates
-- Aggregates of a hypertable that are not materialized only.
select view_name from timescaledb_information.continuous_aggregates
where view_schema = current_schema() and view_name = any(%(views)s) and not materialized_only
order by view_name
