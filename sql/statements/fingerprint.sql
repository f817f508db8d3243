-- How many rows there are in a range, and a sum over all of them that any change of any value changes.
select count(*), coalesce(sum(hash_record_extended(row({columns}), 0)), 0)::text from {relation}
where {time} >= %(start)s and {time} < %(end)s
