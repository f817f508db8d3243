-- Which of these staged rows have the values of the newest revision of their source.
select stage.entry from stage
join lateral (
    select old from archive_revision as revision
    where {of_row} and revision.old->>'source' = stage.source
    order by revision_id desc limit 1
) as newest on newest.old = {stage_row}
where stage.entry = any(%(entries)s)
