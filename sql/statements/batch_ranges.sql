-- The part of a journal that each of these batches holds. Batches of releases before 0.2 have no incarnation.
select batch_id, journal, coalesce(incarnation, 1 + coalesce(rewound, false)::int), after, last, first
from archive_ledger
cross join lateral jsonb_to_recordset(journals)
    as entry (journal text, incarnation bigint, rewound boolean, after text, first text, last text)
where batch_id = any(%(batches)s) and origin = 'journal' and journal = any(%(journals)s)
