-- The days between two moments for which the hypertable has a chunk.
select day::date
from timescaledb_information.chunks,
     generate_series(range_start at time zone 'UTC', range_end at time zone 'UTC' - interval '1 day', interval '1 day') as day
where hypertable_schema = current_schema() and hypertable_name = %(table)s
  and range_start < %(high)s and range_end > %(low)s
