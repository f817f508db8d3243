-- The archiving of the log: whether it is on, files archived, failures, seconds since the last of each, and files that wait.
select current_setting('archive_mode'), archived_count, failed_count,
       extract(epoch from clock_timestamp() - last_archived_time)::float8,
       extract(epoch from clock_timestamp() - last_failed_time)::float8
from pg_stat_archiver
