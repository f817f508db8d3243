-- When the last entry of batches that said rows again was accepted: microseconds since 1970; null if none was since a moment.
select (extract(epoch from max(accepted_last)) * 1000000)::bigint
from archive_ledger
where dataset = %(dataset)s and unchanged > 0 and accepted_last >= %(since)s and (%(by_journals)s or origin <> 'journal')
