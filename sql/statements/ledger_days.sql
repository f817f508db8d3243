-- The days to which rows were inserted or moved, by the ledger.
select day::date from archive_ledger cross join lateral jsonb_each(days) as of_day (day, counts)
where dataset = %(dataset)s and ((counts->>'inserted')::bigint > 0 or counts ? 'moved')
group by 1
