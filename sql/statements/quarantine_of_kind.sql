select quarantine_id, dataset, settled from archive_quarantine
where settled is null and dataset = %(dataset)s and kind = %(kind)s
order by quarantine_id
