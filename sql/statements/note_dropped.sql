-- Which of the day's rows were said again is of no use any more.
with forgotten as (
    delete from archive_said_again where dataset = %(dataset)s and day = %(day)s
)
insert into archive_dropped (dataset, day, rows, bytes, aggregates, cold, run_id)
values (%(dataset)s, %(day)s, %(rows)s, %(bytes)s, %(aggregates)s, %(cold)s, %(run_id)s)
