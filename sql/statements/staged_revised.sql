-- Which of these rows of the stage say what a revision of their key says.
select distinct stage.entry from stage
join archive_revision as revision
  on revision.dataset = %(dataset)s and revision.subject = stage.{subject} and revision."timestamp" = stage.{time}
 and revision.old = to_jsonb(stage) - 'batch_id' - 'entry'
where stage.entry = any(%(entries)s)
