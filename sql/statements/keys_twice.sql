-- The number of keys that occur more than once in a range.
select count(*) from (
    select from {table} where {time} >= %(start)s and {time} < %(end)s group by {subject}, {named} having count(*) > 1
) as twice
