-- Journals that were drained from their beginning more than once: of these, counts of entries prove nothing.
select found->>'journal'
from archive_ledger cross join lateral jsonb_array_elements(journals) as found
where dataset = %(dataset)s and origin = 'journal' and ((found->>'rewound')::boolean or found->>'after' = '0-0')
group by 1
having bool_or((found->>'rewound')::boolean) or count(*) > 1
