insert into archive_dropped (dataset, day, rows, bytes, aggregates, cold, run_id)
values (%(dataset)s, %(day)s, %(rows)s, %(bytes)s, %(aggregates)s, %(cold)s, %(run_id)s)
