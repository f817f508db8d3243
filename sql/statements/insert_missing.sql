-- Rows of the batch whose key the archive does not hold. The bounds are given as values, so that no other chunk and no
-- other subject is looked at.
with inserted as (
    insert into {table} ({columns})
    select {columns} from stage
    where not exists (
        select from {table} as known
        where known.{subject} = stage.{subject} and known.{time} = stage.{time}
          and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
    )
    returning {about}, {time}
)
select {about}, ({time} at time zone 'UTC')::date, count(*), min({time}), max({time}) from inserted group by 1, 2
