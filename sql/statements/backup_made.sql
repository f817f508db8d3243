-- Commands that drop all user-made objects, in an order in which each can be dropped: aggregates, newest first, because they may be
-- built on older ones; then tables, sequences and functions.
select command from (
    select 1 as turn, (regexp_match(materialization_hypertable_name, '\d+$'))[1]::int as number,
           format('drop materialized view if exists %I.%I cascade', view_schema, view_name) as command
    from timescaledb_information.continuous_aggregates
    union all
    select 2, 0, format('drop table if exists %I.%I cascade', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|_timescaledb|timescaledb_|information_schema$)'
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
    union all
    select 3, 0, format('drop sequence if exists %I.%I cascade', schemaname, sequencename)
    from pg_sequences where schemaname !~ '^(pg_|_timescaledb|timescaledb_)'
    union all
    select 4, 0, format('drop routine if exists %s cascade', p.oid::regprocedure)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname !~ '^(pg_|_timescaledb|timescaledb_|information_schema$)'
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i'))) as made
order by turn, number desc, command
