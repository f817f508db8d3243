-- Whether the archive holds nothing at all in the window of a batch.
select not exists (
    select from {table}
    where {time} between %(low)s and %(high)s and {subject} between %(first)s and %(last)s
)
