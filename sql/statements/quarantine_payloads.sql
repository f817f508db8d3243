-- The waiting entries in quarantine, a page at a time.
select quarantine_id, payload::text from archive_quarantine
where dataset = %(dataset)s and settled is null and quarantine_id > %(after)s
order by quarantine_id
limit %(limit)s
