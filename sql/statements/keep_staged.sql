-- Versions of the batch that do not stand: each as a revision, with the batch whose version stands instead.
insert into archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
select %(dataset)s, stage.{subject}, stage.{time}, {stage_row}, stage.batch_id, kept.replaced_by
from stage
join unnest(%(entries)s::int[], %(replaced_by)s::bigint[]) as kept (entry, replaced_by) on kept.entry = stage.entry
order by stage.entry
