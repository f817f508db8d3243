-- Rows of the batch that the archive holds with other values. Read before anything is updated: an update that joins a
-- compressed chunk unpacks every row it looks at, even those it leaves alone.
create temporary table changed on commit drop as
select stage.* from stage
join {table} as known on known.{subject} = stage.{subject} and known.{time} = stage.{time}
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
  and ({known_values}) is distinct from ({stage_values})
