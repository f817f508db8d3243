-- When the newest archived batch that came from journals was drained.
select drained_at from archive_ledger where dataset = %(dataset)s and origin = 'journal' order by batch_id desc limit 1
