-- The chunks of a hypertable, with their sizes before and after compression and on disk now.
select c.chunk_schema || '.' || c.chunk_name, (c.range_start at time zone 'UTC')::date, c.is_compressed,
       coalesce(s.before_compression_total_bytes, d.total_bytes), coalesce(s.after_compression_total_bytes, d.total_bytes),
       c.range_start, c.range_end, d.total_bytes
from timescaledb_information.chunks c
left join chunk_columnstore_stats(%(table)s::regclass) s on s.chunk_schema = c.chunk_schema and s.chunk_name = c.chunk_name
left join chunks_detailed_size(%(table)s::regclass) d on d.chunk_schema = c.chunk_schema and d.chunk_name = c.chunk_name
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s
order by c.range_start
