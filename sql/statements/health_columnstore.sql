-- Bytes of the compressed chunks before and after, as of when each was compressed.
select coalesce(sum(before_compression_total_bytes), 0)::float8, coalesce(sum(after_compression_total_bytes), 0)::float8
from hypertable_columnstore_stats(%(table)s::regclass)
