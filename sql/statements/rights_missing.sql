-- Which of the wanted rights a role does not have yet: granting anew would touch every chunk.
select wanted.name, wanted.role, wanted."right"
from unnest(%(names)s::text[], %(roles)s::text[], %(rights)s::text[]) as wanted (name, role, "right")
where not has_table_privilege(wanted.role, to_regclass(format('%%I.%%I', current_schema(), wanted.name)), wanted."right")
order by 1, 2, 3
