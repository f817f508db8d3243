-- Entries that had gone before they could be drained, by journal.
select found->>'journal', sum((found->>'missing')::bigint)
from archive_ledger cross join lateral jsonb_array_elements(journals) as found
where dataset = %(dataset)s and origin = 'journal' and missing > 0
group by 1
