-- The rows of these days that batches said again which were accepted, at least in part, at or after a moment: batch, day, number of
-- rows and the rows (null: any of the day), and when the batch's last entry was accepted (µs since 1970).
select again.batch_id, again.day, again.entries, again.said, (extract(epoch from made.accepted_last) * 1000000)::bigint
from archive_said_again as again
join archive_ledger as made on made.batch_id = again.batch_id
where again.dataset = %(dataset)s and again.day = any(%(days)s::date[]) and again.batch_id > %(batch_id)s
  and made.accepted_last >= %(since)s and (%(by_journals)s or made.origin <> 'journal')
