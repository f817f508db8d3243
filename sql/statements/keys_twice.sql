select count(*) from (
    select from {table} where {time} >= %(start)s and {time} < %(end)s group by {subject}, {time} having count(*) > 1
) as twice
