insert into archive_coverage (dataset, subject, day, rows, first, last, minutes)
select %(dataset)s, {about}, %(day)s, count(*), min({time}), max({time}),
       bit_or(set_bit(repeat('0', 1440)::bit(1440), floor(extract(epoch from {time} - %(start)s) / 60)::int, 1))
from {table} where {time} >= %(start)s and {time} < %(end)s
group by {about}
