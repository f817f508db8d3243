-- Entries that were gone before they could be drained, by journal, as recorded by batches after `since`; and the newest such batch.
select found->>'journal', sum((found->>'missing')::bigint), max(batch_id)
from archive_ledger cross join lateral jsonb_array_elements(journals) as found
where dataset = %(dataset)s and origin = 'journal' and missing > 0 and batch_id > %(since)s
group by 1
