-- The newest row of each subject: one index descent a subject (LATERAL), not a scan.
copy (
    select {found_columns} from unnest(%(subjects)s::text[]) as asked (subject)
    cross join lateral (
        select * from {table} where {subject} = asked.subject order by {time} desc limit 1
    ) as found
) to stdout (format csv)
