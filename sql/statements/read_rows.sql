-- Bounds are values, so that only the chunks of the range are looked at.
copy (
    select {columns} from {relation}
    where {time} >= %(start)s and {time} < %(end)s
      and (%(subjects)s::text[] is null or {filter} = any(%(subjects)s::text[]) {or_also})
) to stdout (format csv)
