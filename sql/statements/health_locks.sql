-- Locks that are waited for, and the longest wait in seconds.
select count(*), coalesce(extract(epoch from max(clock_timestamp() - waitstart)), 0)::float8 from pg_locks where not granted
