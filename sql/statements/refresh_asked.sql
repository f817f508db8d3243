select aggregate, refresh_id, day, low, high from archive_refresh
where aggregate = any(%(aggregates)s) and (%(days)s::date[] is null or day = any(%(days)s::date[]))
order by day, low
