-- The quarantined entries in these batches, which retried them.
select batch.batch_id, known.journal, known.entry_id, known.payload::text
from archive_ledger as batch
cross join lateral jsonb_to_recordset(batch.journals) as entry (journal text, first text)
join archive_quarantine as known
  on known.dataset = batch.dataset and known.journal = entry.journal and known.entry_id = entry.first
where batch.batch_id = any(%(batches)s::bigint[]) and batch.origin = 'quarantine' and known.settled = 'retried'
