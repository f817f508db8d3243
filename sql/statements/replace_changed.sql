-- Subjects as a list, not as a range: TimescaleDB 2.23 fails on a range of a segment-by column here.
with replaced as (
    update {table} as known set {assignments}
    from changed
    where known.{subject} = changed.{subject} and known.{time} = changed.{time}
      and known.{time} between %(low)s and %(high)s and known.{subject} = any(%(subjects)s)
    returning known.{time}
)
select ({time} at time zone 'UTC')::date as day, count(*), min({time}), max({time}) from replaced group by 1
