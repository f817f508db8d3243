-- On a replica: seconds since the last replayed transaction, 0 where all that was received is replayed.
select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end::float8
