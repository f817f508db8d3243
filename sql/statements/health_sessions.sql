-- Sessions of clients, the longest transaction but this one in seconds, those idle in one, and whether others are hidden from us.
select count(*) filter (where backend_type = 'client backend'),
       coalesce(extract(epoch from max(clock_timestamp() - xact_start)
                        filter (where pid <> pg_backend_pid() and backend_type = 'client backend')), 0)::float8,
       count(*) filter (where state like 'idle in transaction%%'),
       count(*) filter (where query = '<insufficient privilege>')
from pg_stat_activity
