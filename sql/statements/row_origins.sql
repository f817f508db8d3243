-- Where these rows came from: place in the question, batch, door, and between which moments it was accepted (µs).
select asked.at, known.batch_id, coalesce(made.origin, ''),
       coalesce((extract(epoch from made.accepted_first) * 1000000)::bigint, 0),
       coalesce((extract(epoch from coalesce(made.accepted_last, made.drained_at)) * 1000000)::bigint, 0)
from unnest(%(subjects)s::text[], %(names)s::{named_as}[]) with ordinality as asked ({subject}, {named}, at)
join {table} as known on {same_row}
left join archive_ledger as made on made.batch_id = known.batch_id
where known.{time} between %(low)s and %(high)s and known.{subject} = any(%(subjects)s::text[])
