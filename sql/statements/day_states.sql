-- Each wanted subject on each wanted day: rows, minutes held of those expected, minutes held outside of them and the first
-- such, and the newest answer of a vendor.
with days as materialized (
    select day, settled, ('x' || grid)::bit(1440) as expected
    from unnest(%(days)s::date[], %(grids)s::text[], %(settled)s::timestamptz[]) as given (day, grid, settled)
), asked as materialized (
    select distinct on (subject, day) * from archive_asked
    where dataset = %(dataset)s and day >= %(start)s and day < %(end)s
    order by subject, day, asked_at desc
)
select wanted.subject, days.day, coalesce(held.rows, 0), coalesce(bit_count(held.minutes & days.expected), 0),
       bit_count(days.expected), asked.outcome, coalesce(asked.attempts, 0), asked.asked_at >= days.settled,
       coalesce(asked.vendor, ''), coalesce(asked.said, ''), coalesce(bit_count(held.minutes & ~days.expected), 0),
       days.day::timestamp at time zone 'UTC'
         + interval '1 minute' * (nullif(position(b'1' in held.minutes & ~days.expected), 0) - 1)
from unnest(%(subjects)s::text[], %(sinces)s::date[]) as wanted (subject, since)
cross join days
left join archive_coverage as held
  on held.dataset = %(dataset)s and held.subject = wanted.subject collate "C" and held.day = days.day
left join asked on asked.subject = wanted.subject collate "C" and asked.day = days.day
where days.day >= wanted.since
order by 1, 2
