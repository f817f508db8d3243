-- Versions that a later entry of the same batch replaced. One that was in the archive already, unchanged by this batch's
-- first entry of its key, keeps the batch that brought it. To be run before the last versions are written.
insert into archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
select %(dataset)s, stage.{subject}, stage.{time}, to_jsonb(stage) - 'batch_id', coalesce(known.batch_id, stage.batch_id),
       stage.batch_id
from stage
left join {table} as known
  on known.{subject} = stage.{subject} and known.{time} = stage.{time}
 and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
 and ({known_values}) is not distinct from ({stage_values})
