-- The rows of the stage that are to replace the archive's. Chosen before anything is updated: an update that joins a compressed
-- chunk unpacks every row it looks at, even those it leaves alone.
create temporary table changed on commit drop as
select stage.* from stage where stage.entry = any(%(entries)s)
