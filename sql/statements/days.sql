-- Per day, from the coverage: rows, subjects, first, last, and for each quarter hour the number of minutes with a row, over all subjects.
with held as materialized (
    select day, rows, first, last, minutes from archive_coverage
    where dataset = %(dataset)s and day = any(%(days)s::date[])
), quarters as (
    select day, quarter, sum(bit_count(substring(minutes from quarter * 15 + 1 for 15))) as number
    from held cross join generate_series(0, 95) as quarter
    group by 1, 2
), summed as (
    select day, array_agg(number::bigint order by quarter) as minutes from quarters group by 1
)
select day, sum(rows)::bigint, count(*), min(first), max(last), summed.minutes
from held join summed using (day)
group by 1, 6
