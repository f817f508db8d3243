-- The number of rows in a range, and a hash over them that changes with any value.
select count(*), coalesce(sum(hash_record_extended(row({columns}), 0)), 0)::text from {relation}
where {time} >= %(start)s and {time} < %(end)s
