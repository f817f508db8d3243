-- name: backup_chunks
-- The ranges of the chunks of a hypertable, or of what a continuous aggregate is kept in, oldest first.
select c.chunk_schema || '.' || c.chunk_name, c.range_start, c.range_end
from timescaledb_information.chunks c
where (c.hypertable_schema, c.hypertable_name) in (
    select current_schema()::name, %(relation)s::name
    union all
    select a.materialization_hypertable_schema, a.materialization_hypertable_name
    from timescaledb_information.continuous_aggregates a
    where a.view_schema = current_schema() and a.view_name = %(relation)s::name)
order by c.range_start

-- name: backup_made
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

-- name: backup_sequences
-- Where every sequence that somebody made stands.
select schemaname || '.' || sequencename, last_value from pg_sequences
where schemaname !~ '^(pg_|_timescaledb|timescaledb_)' order by 1

-- name: backup_some
-- Whether a table has any row.
select exists (select from {table})

-- name: backup_table
-- How many rows a table has, and a sum over all of them that any change of any value changes, whatever types it has.
select count(*), coalesce(sum(hashtextextended(one::text, 0)), 0)::text from {table} as one

-- name: backup_tables
-- Every plain table that somebody made, with its schema; those of PostgreSQL, of TimescaleDB and chunks are left out.
select n.nspname, c.relname,
       exists (select from timescaledb_information.hypertables h
               where h.hypertable_schema = n.nspname and h.hypertable_name = c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|_timescaledb|timescaledb_|information_schema$)'
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
order by 1, 2
