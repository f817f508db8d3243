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
