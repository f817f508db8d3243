-- Sizes of the chunks of some days: before and after compression of compressed chunks, else the present size.
select (c.range_start at time zone 'UTC')::date, c.is_compressed,
       coalesce(s.before_compression_total_bytes, pg_total_relation_size(format('%%I.%%I', c.chunk_schema, c.chunk_name)::regclass)),
       coalesce(s.after_compression_total_bytes, 0)
from timescaledb_information.chunks c
left join chunk_columnstore_stats(%(table)s::regclass) s
  on c.is_compressed and s.chunk_schema = c.chunk_schema and s.chunk_name = c.chunk_name
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s
  and c.range_start < %(end)s and c.range_end > %(start)s
