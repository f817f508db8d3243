-- For each row the version that was archived at a moment: the row itself if its batch was archived by then, else the newest
-- replaced version whose batch was, and which was replaced after it, unless retention has dropped its day. A version that was
-- replaced within its own batch was never in the archive: it came and went with one ledger row. From low to high a row may be kept.
copy (
    select {columns} from {table} as known
    join archive_ledger as made on made.batch_id = known.batch_id
    where known.{time} >= %(low)s and known.{time} < %(high)s and {said} >= %(start)s and {said} < %(end)s
      and made.archived_at <= %(as_of)s
      and (%(subjects)s::text[] is null or known.{filter} = any(%(subjects)s::text[]))
    union all
    select {old_columns} from (
        select distinct on (revision.subject, {of_subject}) revision.old
        from archive_revision as revision
        join archive_ledger as made on made.batch_id = revision.old_batch
        join archive_ledger as ended on ended.batch_id = revision.replaced_by
        where revision.dataset = %(dataset)s
          and revision."timestamp" >= %(start)s and revision."timestamp" < %(end)s
          and not exists (
              select from archive_dropped as gone
              where gone.dataset = %(dataset)s and gone.day = (revision."timestamp" at time zone 'UTC')::date
          )
          and (%(keys)s::text[] is null or revision.subject = any(%(keys)s::text[]))
          and made.archived_at <= %(as_of)s and ended.archived_at > %(as_of)s
        order by revision.subject, {of_subject}, revision.revision_id desc
    ) as revision
    cross join lateral jsonb_populate_record(null::{table}, revision.old) as old
    where %(subjects)s::text[] is null or old.{filter} = any(%(subjects)s::text[])
) to stdout (format csv)
