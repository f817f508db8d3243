-- Tables and views of the archive with their owners.
select relname, pg_get_userbyid(relowner) from pg_class
where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm')
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')
order by relname
