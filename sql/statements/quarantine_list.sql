select quarantine_id, dataset, journal, entry_id, kind, reason, since, settled, settled_at from archive_quarantine
where settled is null and (%(dataset)s::text is null or dataset = %(dataset)s) and (%(kind)s::text is null or kind = %(kind)s)
order by quarantine_id
limit %(limit)s
