-- Versions that a later entry of the same batch replaced.
insert into archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
select %(dataset)s, {subject}, {time}, to_jsonb(stage) - 'batch_id', batch_id, batch_id from stage
