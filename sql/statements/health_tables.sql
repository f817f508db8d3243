-- Of the chunks of a hypertable together: scans by index and in sequence, live and dead rows as the statistics say.
select coalesce(sum(t.idx_scan), 0)::float8, coalesce(sum(t.seq_scan), 0)::float8,
       coalesce(sum(t.n_live_tup), 0)::float8, coalesce(sum(t.n_dead_tup), 0)::float8
from timescaledb_information.chunks c
join pg_stat_user_tables t on t.schemaname = c.chunk_schema and t.relname = c.chunk_name
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s
