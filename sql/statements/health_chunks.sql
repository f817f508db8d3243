-- Chunks by state: how many, how many compressed, how many that should be by now: old enough, and made before the last turn.
select count(*), count(*) filter (where is_compressed),
       count(*) filter (where not is_compressed and range_end <= %(due)s::timestamptz
           and chunk_creation_time <= %(turn)s::timestamptz)
from timescaledb_information.chunks where hypertable_schema = current_schema() and hypertable_name = %(table)s
