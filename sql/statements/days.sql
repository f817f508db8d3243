select ({time} at time zone 'UTC')::date as day, count(*), count(distinct {subject}), min({time}), max({time})
from {table} where {time} >= %(start)s and {time} < %(end)s
group by 1
