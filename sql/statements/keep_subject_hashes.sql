-- New hashes of some days; the rows that they were merged with go.
with merged as (
    delete from archive_subject_hash where number = any(%(merged)s::bigint[])
)
insert into archive_subject_hash (dataset, day, hashes)
select %(dataset)s, day, hashes from unnest(%(days)s::date[], %(hashes)s::bytea[]) as grown (day, hashes)
