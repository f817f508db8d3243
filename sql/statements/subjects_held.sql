-- The subjects of a batch of which the archive holds anything between their first and last moment in it.
select subject
from unnest(%(subjects)s::text[], %(lows)s::timestamptz[], %(highs)s::timestamptz[]) as own (subject, low, high)
where exists (
    select from {table}
    where {subject} = own.subject and {time} between own.low and own.high and {time} between %(low)s and %(high)s
)
