-- The ranges of the chunks of a hypertable, and of a continuous aggregate, whose chunks outlive those of its raw rows.
select range_start, range_end from timescaledb_information.chunks
where range_end > %(start)s and range_start < %(end)s
  and (hypertable_schema = current_schema() and hypertable_name = %(table)s
       or (hypertable_schema, hypertable_name) in (
           select materialization_hypertable_schema, materialization_hypertable_name
           from timescaledb_information.continuous_aggregates
           where view_schema = current_schema() and view_name = %(view)s::text))
order by range_start
