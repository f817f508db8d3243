update archive_quarantine set settled = 'retried', settled_at = now(), reason = reason || %(note)s
where quarantine_id = any(%(ids)s::bigint[])
