-- How many rows a table has, and a sum over all of them that any change of any value changes, whatever types it has.
select count(*), coalesce(sum(hashtextextended(one::text, 0)), 0)::text from {table} as one
