-- Tables, views and sequences of the archive that belong to none of the roles: after a restore, they belong to the restoring user.
select relname from pg_class
where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
  and pg_get_userbyid(relowner) <> all (%(roles)s)
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype in ('a', 'e', 'i'))
order by relname
