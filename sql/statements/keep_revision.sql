insert into archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
select %(dataset)s, known.{subject}, {known_time}, {known_row}, known.batch_id, %(batch_id)s
from {table} as known
join changed on {changed_row}
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
