-- name: migration_table
create table if not exists archive_migration (
    name       text primary key,
    sha256     text not null,
    applied_at timestamptz not null default now()
)

-- name: own_tables
-- Tables and views of the archive with their owners.
select relname, pg_get_userbyid(relowner) from pg_class
where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm')
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')
order by relname

-- name: owned_by_others
-- Tables, views and sequences of the archive that belong to none of the roles: after a restore, they belong to the restoring user.
select relname from pg_class
where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
  and pg_get_userbyid(relowner) <> all (%(roles)s)
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype in ('a', 'e', 'i'))
order by relname

-- name: rights_missing
-- The wanted rights that a role lacks: granting all of them again would touch every chunk.
select wanted.name, wanted.role, wanted."right"
from unnest(%(names)s::text[], %(roles)s::text[], %(rights)s::text[]) as wanted (name, role, "right")
where not has_table_privilege(wanted.role, to_regclass(format('%%I.%%I', current_schema(), wanted.name)), wanted."right")
order by 1, 2, 3
