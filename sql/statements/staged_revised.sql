-- Which of these staged rows have the values of one of their revisions.
select distinct stage.entry from stage
join archive_revision as revision on {of_row} and revision.old = {stage_row}
where stage.entry = any(%(entries)s)
