-- Rows of the stage whose key the archive does not hold. The bounds are given as values, so that no other chunk and no other
-- subject is looked at.
select coalesce(array_agg(stage.entry), '{{}}') from stage
where not exists (
    select from {table} as known
    where known.{subject} = stage.{subject} and known.{time} = stage.{time}
      and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
)
