-- The newest row's time of a dataset, by the books; days that lie ahead of tomorrow are a clock's fault, and left out.
select max(last) from archive_coverage where dataset = %(dataset)s and day = (
    select max(day) from archive_coverage where dataset = %(dataset)s and day <= %(today)s::date + 1)
