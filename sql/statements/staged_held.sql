-- Staged rows of which the archive holds other values (or that are known to be equal), the origin of its row, and the time that
-- this row reports.
select stage.entry, known.batch_id, coalesce(made.origin, ''),
       coalesce((extract(epoch from made.accepted_first) * 1000000)::bigint, 0),
       coalesce((extract(epoch from coalesce(made.accepted_last, made.drained_at)) * 1000000)::bigint, 0),
       {known_source}, {known_reported}
from stage
join {table} as known on {same_row}
left join archive_ledger as made on made.batch_id = known.batch_id
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
  and case when %(equal)s::int[] is null then ({known_values}) is distinct from ({stage_values})
           else stage.entry = any(%(equal)s::int[]) end
