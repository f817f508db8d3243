-- The rows of the stage that are to replace the archive's. Chosen before anything is updated: an update that joins a compressed
-- chunk unpacks every row it looks at, even those it leaves alone. Some are kept at another moment than they report.
create temporary table changed on commit drop as
select stage.*, coalesce(placed.moment, stage.{time}) as place from stage
left join unnest(%(placed)s::int[], %(moments)s::timestamptz[]) as placed (entry, moment) on placed.entry = stage.entry
where stage.entry = any(%(entries)s)
