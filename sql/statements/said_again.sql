-- Batches that were accepted, in part, at or after a moment and that said again what rows of a day say: batch, day, and when the
-- last of their entries was accepted (µs).
select batch_id, of_day.day, (extract(epoch from accepted_last) * 1000000)::bigint
from archive_ledger
cross join lateral jsonb_each(days) as of_day (day, counts)
where dataset = %(dataset)s and unchanged > 0 and accepted_last >= %(since)s
  and (%(by_journals)s or origin <> 'journal') and (of_day.counts->>'unchanged')::bigint > 0
