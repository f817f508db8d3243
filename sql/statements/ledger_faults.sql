-- Batches whose counts do not add up, in all or by day.
select batch_id, offered, inserted + replaced + unchanged + quarantined + replayed,
       array[inserted, replaced, unchanged, quarantined],
       array[by_day_inserted, by_day_replaced, by_day_unchanged, by_day_quarantined]::bigint[]
from archive_ledger
cross join lateral (
    select coalesce(sum((counts->>'inserted')::bigint), 0) as by_day_inserted,
           coalesce(sum((counts->>'replaced')::bigint), 0) as by_day_replaced,
           coalesce(sum((counts->>'unchanged')::bigint), 0) as by_day_unchanged,
           coalesce(sum((counts->>'quarantined')::bigint), 0) as by_day_quarantined
    from jsonb_each(days) as of_day (day, counts)
) as by_day
where dataset = %(dataset)s and batch_id >= %(since)s
  and (offered <> inserted + replaced + unchanged + quarantined + replayed
       or inserted <> by_day_inserted or replaced <> by_day_replaced
       or unchanged <> by_day_unchanged or quarantined <> by_day_quarantined)
order by batch_id
limit %(most)s
