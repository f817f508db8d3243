-- name: count_coverage
insert into archive_coverage (dataset, subject, day, rows, first, last, minutes)
select %(dataset)s, {about}, %(day)s, count(*), min({time}), max({time}),
       bit_or(set_bit(repeat('0', 1440)::bit(1440), floor(extract(epoch from {time} - %(start)s) / 60)::int, 1))
from {table} where {time} >= %(start)s and {time} < %(end)s
group by {about}

-- name: note_coverage
insert into archive_coverage as known (dataset, subject, day, rows, first, last, minutes)
select %(dataset)s, subject, day, rows, first, last, ('x' || minutes)::bit(1440) >> skipped
from unnest(%(subjects)s::text[], %(days)s::date[], %(rows)s::bigint[], %(firsts)s::timestamptz[],
            %(lasts)s::timestamptz[], %(minutes)s::text[], %(skipped)s::int[])
     as covered (subject, day, rows, first, last, minutes, skipped)
on conflict (dataset, day, subject) do update
set rows = known.rows + excluded.rows, first = least(known.first, excluded.first),
    last = greatest(known.last, excluded.last), minutes = known.minutes | excluded.minutes

-- name: forget_coverage
delete from archive_coverage where dataset = %(dataset)s and day = %(day)s

-- name: covered_subjects
-- Each subject and its first day: one step of the index a subject, however many days it has.
with recursive found as (
    (select subject, day from archive_coverage where dataset = %(dataset)s order by subject, day limit 1)
    union all
    select next.subject, next.day from found cross join lateral (
        select subject, day from archive_coverage
        where dataset = %(dataset)s and subject > found.subject order by subject, day limit 1
    ) as next
)
select subject, day from found

-- name: day_coverage
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

-- name: day_states
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

-- name: days
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

-- name: note_answer
insert into archive_asked as known (dataset, subject, day, vendor, outcome, rows, said)
select %(dataset)s, subject, %(day)s, %(vendor)s, %(outcome)s, rows, %(said)s
from unnest(%(subjects)s::text[], %(rows)s::bigint[]) as given (subject, rows)
on conflict (dataset, subject, day, vendor) do update
set outcome = excluded.outcome, rows = excluded.rows, said = excluded.said, asked_at = now(),
    attempts = case when excluded.outcome = known.outcome then known.attempts + 1 else 1 end
