-- Of each day, how many ranges wait for an aggregate to be refreshed.
select day, count(*) from archive_refresh where dataset = %(dataset)s group by day
