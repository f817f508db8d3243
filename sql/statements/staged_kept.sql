-- Which of these rows of the stage say what the newest revision of their source says.
select stage.entry from stage
join lateral (
    select old from archive_revision as revision
    where revision.dataset = %(dataset)s and revision.subject = stage.{subject}
      and revision."timestamp" = stage.{time} and revision.old->>'source' = stage.source
    order by revision_id desc limit 1
) as newest on newest.old = to_jsonb(stage) - 'batch_id' - 'entry'
where stage.entry = any(%(entries)s)
