-- Chunks that end before a moment and are not compressed, or are compressed but have (or had) rows outside the columnstore.
select c.chunk_schema, c.chunk_name, c.is_compressed from timescaledb_information.chunks c
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s and c.range_end <= %(before)s
  and (not c.is_compressed or pg_relation_size(to_regclass(format('%%I.%%I', c.chunk_schema, c.chunk_name))) > 0)
order by c.range_start
