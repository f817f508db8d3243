-- Rows of a range in the order of time and key, so that the same rows always give the same file.
copy (
    select {columns} from {table} where {time} >= %(start)s and {time} < %(end)s order by {time}, {subject}
) to stdout (format csv)
