-- Where pg_stat_statements is installed in this database, if it is.
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'
