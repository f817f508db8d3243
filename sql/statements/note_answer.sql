insert into archive_asked as known (dataset, subject, day, vendor, outcome, rows, said)
select %(dataset)s, subject, %(day)s, %(vendor)s, %(outcome)s, rows, %(said)s
from unnest(%(subjects)s::text[], %(rows)s::bigint[]) as given (subject, rows)
on conflict (dataset, subject, day, vendor) do update
set outcome = excluded.outcome, rows = excluded.rows, said = excluded.said, asked_at = now(),
    attempts = case when excluded.outcome = known.outcome then known.attempts + 1 else 1 end
