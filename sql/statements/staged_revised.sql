-- Which of these rows of the stage say what a revision of them says.
select distinct stage.entry from stage
join archive_revision as revision on {of_row} and revision.old = {stage_row}
where stage.entry = any(%(entries)s)
