-- The rows that a batch said again.
insert into archive_said_again (batch_id, dataset, day, entries, said)
select %(batch_id)s, %(dataset)s, day, entries, said
from unnest(%(days)s::date[], %(entries)s::int[], %(said)s::bytea[]) as again (day, entries, said)
