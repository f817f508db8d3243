-- Ranges that wait for an aggregate to be refreshed, and since when the oldest does.
select count(*), min(since) from archive_refresh where dataset = %(dataset)s
