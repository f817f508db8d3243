-- Where an aggregate is yet to be refreshed.
select min(low), max(high) from archive_refresh
where aggregate = any(%(aggregates)s) and high >= %(start)s and low < %(end)s
group by day
