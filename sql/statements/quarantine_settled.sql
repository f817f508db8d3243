-- Which of these entries exist, and which are settled.
select quarantine_id, dataset, settled from archive_quarantine where quarantine_id = any(%(ids)s::bigint[])
order by quarantine_id
