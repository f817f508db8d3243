select count(*) from (
    select from {table} where {time} >= %(start)s and {time} < %(end)s group by {subject}, {named} having count(*) > 1
) as twice
