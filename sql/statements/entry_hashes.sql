-- The entry hashes of batches that may have an id in these milliseconds, with the parts of journals that they belong to.
select made.journals, known.hashes
from archive_entry_hash as known
join archive_ledger as made using (batch_id)
where known.dataset = %(dataset)s and known.first_ms <= %(last_ms)s and known.last_ms >= %(first_ms)s
