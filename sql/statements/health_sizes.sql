-- The chunks of a hypertable by what they take on disk, the largest first: bytes, and bytes of indexes.
select chunk_schema || '.' || chunk_name, total_bytes::float8, coalesce(index_bytes, 0)::float8
from chunks_detailed_size(%(table)s::regclass) order by total_bytes desc
