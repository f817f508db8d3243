insert into archive_coverage as known (dataset, subject, day, rows, first, last, minutes)
select %(dataset)s, subject, day, rows, first, last, ('x' || minutes)::bit(1440)
from unnest(%(subjects)s::text[], %(days)s::date[], %(rows)s::bigint[], %(firsts)s::timestamptz[],
            %(lasts)s::timestamptz[], %(minutes)s::text[]) as covered (subject, day, rows, first, last, minutes)
on conflict (dataset, day, subject) do update
set rows = known.rows + excluded.rows, first = least(known.first, excluded.first),
    last = greatest(known.last, excluded.last), minutes = known.minutes | excluded.minutes
