-- The staged rows that replace the archive's, chosen before the update: an update that joins a compressed chunk decompresses
-- every row it reads, even those it does not change.
create temporary table changed on commit drop as
select stage.* from stage where stage.entry = any(%(entries)s)
