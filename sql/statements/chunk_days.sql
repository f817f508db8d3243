-- The days between two moments for which the hypertable has a chunk.
select (range_start at time zone 'UTC')::date from timescaledb_information.chunks
where hypertable_schema = current_schema() and hypertable_name = %(table)s
  and range_start < %(high)s and range_end > %(low)s
