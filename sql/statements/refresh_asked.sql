-- What waits to be refreshed, and whether the hypertable has the day's chunk, and retention has not closed the day.
with asked as (
    select aggregate, refresh_id, day, low, high from archive_refresh
    where aggregate = any(%(aggregates)s) and (%(days)s::date[] is null or day = any(%(days)s::date[]))
), there as (
    select day from (select distinct day from asked) as days
    where not exists (select from archive_dropped where archive_dropped.dataset = %(dataset)s and archive_dropped.day = days.day)
      and exists (select from show_chunks(%(table)s::regclass, newer_than => day::timestamp at time zone 'UTC',
                                          older_than => (day + 1)::timestamp at time zone 'UTC'))
)
select asked.aggregate, asked.refresh_id, asked.day, asked.low, asked.high, there.day is not null
from asked left join there using (day)
order by asked.day, asked.low
