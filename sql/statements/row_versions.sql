-- All versions of the rows of a range, of one subject or of all (null): replaced ones with the number of their replacement, and the
-- present row, which has neither a successor nor a number. Present rows are searched from low to high.
select {columns}, known.batch_id, null::bigint as replaced_by, null::timestamptz as replaced_at, null::bigint as number
from {table} as known
where known.{time} >= %(low)s and known.{time} < %(high)s and {moment} >= %(start)s and {moment} < %(end)s
  and (%(subject)s::text is null or known.{subject} = %(subject)s::text)
union all
select {old_columns}, revision.old_batch, revision.replaced_by, revision.replaced_at, revision.revision_id
from archive_revision as revision
cross join lateral jsonb_populate_record(null::{table}, revision.old) as old
where revision.dataset = %(dataset)s
  and revision."timestamp" >= %(start)s and revision."timestamp" < %(end)s
  and (%(subject)s::text is null or revision.subject = %(subject)s::text)
