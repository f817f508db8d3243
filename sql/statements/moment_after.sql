-- Of the first rows of a range (one more than are wanted): first moment, last moment, how many.
select min(moment), max(moment), count(*) from (
    select {time} as moment from {relation}
    where {time} >= %(start)s and {time} < %(end)s
      and (%(subjects)s::text[] is null or {filter} = any(%(subjects)s::text[]))
    order by {time} limit %(rows)s::bigint + 1
) as first_rows
