-- Those of the days for which an aggregate has a bucket.
select day from unnest(%(days)s::date[]) as day
where exists (select from {view} where bucket >= day::timestamp at time zone 'UTC' and bucket < (day + 1)::timestamp at time zone 'UTC')
