-- Days between two, both inclusive, whose rows retention has dropped.
select day from archive_dropped where dataset = %(dataset)s and day >= %(first)s and day <= %(last)s
