-- Rows of the stage of which the archive holds no version in these bounds. They are given as values, so that no other chunk and
-- no other subject is looked at.
select coalesce(array_agg(stage.entry), '{{}}') from stage
where not exists (
    select from {table} as known
    where {same_row}
      and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
)
