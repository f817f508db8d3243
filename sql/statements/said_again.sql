-- Which rows of some days batches said again that were accepted, in part, at or after a moment: batch, day, how many rows and which
-- (null: any of the day), and when the last of the batch's entries was accepted (µs).
select again.batch_id, again.day, again.entries, again.said, (extract(epoch from made.accepted_last) * 1000000)::bigint
from archive_said_again as again
join archive_ledger as made on made.batch_id = again.batch_id
where again.dataset = %(dataset)s and again.day = any(%(days)s::date[]) and again.batch_id > %(batch_id)s
  and made.accepted_last >= %(since)s and (%(by_journals)s or made.origin <> 'journal')
