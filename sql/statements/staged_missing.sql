-- Staged rows of which the archive holds no version in these bounds. The bounds are values, so that no other chunk and no other
-- subject is read.
select coalesce(array_agg(stage.entry), '{{}}') from stage
where not exists (
    select from {table} as known
    where {same_row}
      and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
)
