-- Replicas, and how far the last of them is behind: in seconds, and in bytes that this server keeps for it.
select count(*), extract(epoch from max(replay_lag))::float8,
       max(case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) end)::float8
from pg_stat_replication
