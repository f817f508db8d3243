-- An aggregate as it would be if it were computed from the raw rows now.
select {group_by}, time_bucket(%(width)s, {time}) as bucket, {measures}
from {table}
where {time} >= %(start)s and {time} < %(end)s
group by {group_by}, time_bucket(%(width)s, {time})
