-- Every plain table that somebody made, with its schema; those of PostgreSQL, of TimescaleDB and chunks are left out.
select n.nspname, c.relname,
       exists (select from timescaledb_information.hypertables h
               where h.hypertable_schema = n.nspname and h.hypertable_name = c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|_timescaledb|timescaledb_|information_schema$)'
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
order by 1, 2
