-- Versions that a better source's row outranks: kept as revisions, but for those that are the newest one kept of their source.
with kept as (
    insert into archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
    select %(dataset)s, stage.{subject}, stage.{time}, to_jsonb(stage) - 'batch_id', stage.batch_id,
           coalesce(known.batch_id, stage.batch_id)
    from stage
    left join {table} as known
      on known.{subject} = stage.{subject} and known.{time} = stage.{time}
     and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
    left join lateral (
        select old from archive_revision as revision
        where revision.dataset = %(dataset)s and revision.subject = stage.{subject}
          and revision."timestamp" = stage.{time} and revision.old->>'source' = stage.source
        order by revision_id desc limit 1
    ) as newest on %(checked)s
    where newest.old is null or newest.old <> to_jsonb(stage) - 'batch_id'
    returning "timestamp"
)
select ("timestamp" at time zone 'UTC')::date, count(*) from kept group by 1
