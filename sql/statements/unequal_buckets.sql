-- The buckets in which an aggregate differs from the raw rows in any bit: the key, whether the aggregate has the bucket, whether the
-- raw rows give it, and the values of both.
with held as (select {columns} from {view} where bucket >= %(start)s and bucket < %(end)s),
given as (
    select {group_by}, time_bucket(%(width)s, {time}) as bucket, {measures}
    from {table}
    where {time} >= %(start)s and {time} < %(end)s
    group by {group_by}, time_bucket(%(width)s, {time})
)
select {keys}, held.bucket is not null, given.bucket is not null, {held}, {given}
from held full join given using ({keys})
where (held.bucket, {held}) is distinct from (given.bucket, {given})
order by {keys}
