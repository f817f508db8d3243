select found::text from show_chunks(%(table)s::regclass, older_than => %(end)s::timestamptz, newer_than => %(start)s::timestamptz) as found
