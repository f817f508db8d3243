-- Per day: the rows in the table, and the rows that the coverage counts.
with held as (
    select ({time} at time zone 'UTC')::date as day, count(*) as number from {table}
    where {time} >= %(start)s and {time} < %(end)s
    group by 1
), covered as (
    select day, sum(rows) as rows from archive_coverage
    where dataset = %(dataset)s and day >= %(first)s and day <= %(last)s
    group by 1
)
select coalesce(held.day, covered.day), coalesce(number, 0), coalesce(rows, 0)
from held full join covered on held.day = covered.day
order by 1
