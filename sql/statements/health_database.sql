-- Pages found in memory and read, deadlocks, roll-backs, bytes of temporary files since the statistics began; age of the oldest transaction.
select s.blks_hit, s.blks_read, s.deadlocks, s.xact_rollback, s.temp_bytes, age(d.datfrozenxid)
from pg_stat_database s join pg_database d on d.oid = s.datid where s.datname = current_database()
