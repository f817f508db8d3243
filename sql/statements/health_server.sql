-- Of the whole server: whether it keeps statistics (an engine of one session shows not even this session), its size and its limits;
-- and what the hashes take by which entries that come again are recognised.
select exists (select from pg_stat_activity where pid = pg_backend_pid()), pg_database_size(current_database()),
       current_setting('max_connections')::int, pg_is_in_recovery(), pg_total_relation_size('archive_entry_hash')
