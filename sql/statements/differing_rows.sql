-- Keys that the archive holds with other values than the stage, and the batch that wrote them.
select known.{subject}, (extract(epoch from known.{time}) * 1000000)::bigint, known.batch_id
from stage
join {table} as known on known.{subject} = stage.{subject} and known.{time} = stage.{time}
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
  and known.{identity} = stage.{identity}
  and ({known_values}) is distinct from ({stage_values})
