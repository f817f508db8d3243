-- name: health_archiver
-- The archiving of the log: whether it is on, files archived, failures, seconds since the last of each, and files that wait.
select current_setting('archive_mode'), archived_count, failed_count,
       extract(epoch from clock_timestamp() - last_archived_time)::float8,
       extract(epoch from clock_timestamp() - last_failed_time)::float8
from pg_stat_archiver

-- name: health_chunks
-- Chunks by state: how many, how many compressed, how many that should be by now: old enough, and made before the last turn.
select count(*), count(*) filter (where is_compressed),
       count(*) filter (where not is_compressed and range_end <= %(due)s::timestamptz
           and chunk_creation_time <= %(turn)s::timestamptz)
from timescaledb_information.chunks where hypertable_schema = current_schema() and hypertable_name = %(table)s

-- name: health_columnstore
-- Bytes of the compressed chunks before and after, as of when each was compressed.
select coalesce(sum(before_compression_total_bytes), 0)::float8, coalesce(sum(after_compression_total_bytes), 0)::float8
from hypertable_columnstore_stats(%(table)s::regclass)

-- name: health_database
-- Pages found in memory and read, deadlocks, roll-backs, bytes of temporary files since the statistics began; age of the oldest transaction.
select s.blks_hit, s.blks_read, s.deadlocks, s.xact_rollback, s.temp_bytes, age(d.datfrozenxid)
from pg_stat_database s join pg_database d on d.oid = s.datid where s.datname = current_database()

-- name: health_folder
-- Where the data are, for those who may know.
select current_setting('data_directory')

-- name: health_locks
-- Locks that are waited for, and the longest wait in seconds.
select count(*), coalesce(extract(epoch from max(clock_timestamp() - waitstart)), 0)::float8 from pg_locks where not granted

-- name: health_newest
-- The newest row's time of a dataset, by the books; days that lie ahead of tomorrow are a clock's fault, and left out.
select max(last) from archive_coverage where dataset = %(dataset)s and day = (
    select max(day) from archive_coverage where dataset = %(dataset)s and day <= %(today)s::date + 1)

-- name: health_refreshes
-- Ranges that wait for an aggregate to be refreshed, and since when the oldest does.
select count(*), min(since) from archive_refresh where dataset = %(dataset)s

-- name: health_replay
-- On a replica: seconds since the last replayed transaction, 0 where all that was received is replayed.
select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end::float8

-- name: health_replication
-- Replicas, and how far the last of them is behind: in seconds, and in bytes that this server keeps for it.
select count(*), extract(epoch from max(replay_lag))::float8,
       max(case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) end)::float8
from pg_stat_replication

-- name: health_server
-- Of the whole server: whether it keeps statistics (an engine of one session shows not even this session), its size and its limits;
-- and what the hashes take by which entries that come again are recognised.
select exists (select from pg_stat_activity where pid = pg_backend_pid()), pg_database_size(current_database()),
       current_setting('max_connections')::int, pg_is_in_recovery(), pg_total_relation_size('archive_entry_hash')

-- name: health_sessions
-- Sessions of clients, the longest transaction but this one in seconds, those idle in one, and whether others are hidden from us.
select count(*) filter (where backend_type = 'client backend'),
       coalesce(extract(epoch from max(clock_timestamp() - xact_start)
                        filter (where pid <> pg_backend_pid() and backend_type = 'client backend')), 0)::float8,
       count(*) filter (where state like 'idle in transaction%%'),
       count(*) filter (where query = '<insufficient privilege>')
from pg_stat_activity

-- name: health_sizes
-- The chunks of a hypertable by what they take on disk, the largest first: bytes, and bytes of indexes.
select chunk_schema || '.' || chunk_name, total_bytes::float8, coalesce(index_bytes, 0)::float8
from chunks_detailed_size(%(table)s::regclass) order by total_bytes desc

-- name: health_slowest
-- The slowest statements of this database by their mean, from pg_stat_statements; nothing that may hold a password.
select left(regexp_replace(query, '\s+', ' ', 'g'), 200), calls, mean_exec_time / 1000, total_exec_time / 1000
from {statements}
where dbid = (select oid from pg_database where datname = current_database()) and calls > 0 and query !~* 'password'
order by calls >= 10 desc, mean_exec_time desc limit 10

-- name: health_statements_view
-- Where pg_stat_statements is installed in this database, if it is.
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'

-- name: health_tables
-- Of the chunks of a hypertable together: scans by index and in sequence, live and dead rows as the statistics say.
select coalesce(sum(t.idx_scan), 0)::float8, coalesce(sum(t.seq_scan), 0)::float8,
       coalesce(sum(t.n_live_tup), 0)::float8, coalesce(sum(t.n_dead_tup), 0)::float8
from timescaledb_information.chunks c
join pg_stat_user_tables t on t.schemaname = c.chunk_schema and t.relname = c.chunk_name
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s
