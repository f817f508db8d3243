-- The wanted rights that a role lacks: granting all of them again would touch every chunk.
select wanted.name, wanted.role, wanted."right"
from unnest(%(names)s::text[], %(roles)s::text[], %(rights)s::text[]) as wanted (name, role, "right")
where not has_table_privilege(wanted.role, to_regclass(format('%%I.%%I', current_schema(), wanted.name)), wanted."right")
order by 1, 2, 3
