-- Rows of the stage whose key the archive holds with other values (or the rows that are known to be equal), and where its row came
-- from.
select stage.entry, known.batch_id, {known_source}, {known_identity}, coalesce(made.origin, ''),
       coalesce((extract(epoch from made.accepted_first) * 1000000)::bigint, 0),
       coalesce((extract(epoch from coalesce(made.accepted_last, made.drained_at)) * 1000000)::bigint, 0)
from stage
join {table} as known on known.{subject} = stage.{subject} and known.{time} = stage.{time}
left join archive_ledger as made on made.batch_id = known.batch_id
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
  and case when %(equal)s::int[] is null then ({known_values}) is distinct from ({stage_values})
           else stage.entry = any(%(equal)s::int[]) end
