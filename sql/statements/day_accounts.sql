-- Per day: the rows in the table; the rows that the ledger counts as inserted or moved there from other days, less those that moved
-- away or were dropped by retention; and the rows whose batch is not in the ledger.
with held as (
    select (known.{time} at time zone 'UTC')::date as day, count(*) as number,
           count(*) filter (where batch.batch_id is null) as unknown,
           min(known.batch_id) filter (where batch.batch_id is null) as unknown_batch
    from {table} as known
    left join archive_ledger as batch on batch.batch_id = known.batch_id and batch.dataset = %(dataset)s
    where known.{time} >= %(start)s and known.{time} < %(end)s
    group by 1
), booked as (
    select day::date as day, sum((counts->>'inserted')::bigint + coalesce((counts->>'moved')::bigint, 0)) as inserted
    from archive_ledger cross join lateral jsonb_each(days) as of_day (day, counts)
    where dataset = %(dataset)s and day::date >= %(first)s and day::date <= %(last)s
    group by 1
), dropped as (
    select day, rows from archive_dropped where dataset = %(dataset)s and day >= %(first)s and day <= %(last)s
)
select coalesce(held.day, booked.day), coalesce(number, 0), coalesce(inserted, 0) - coalesce(dropped.rows, 0),
       coalesce(unknown, 0), unknown_batch
from held
full join booked on held.day = booked.day
left join dropped on dropped.day = coalesce(held.day, booked.day)
order by 1
