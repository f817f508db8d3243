-- Aggregates of a hypertable that are not materialized only.
select view_name from timescaledb_information.continuous_aggregates
where view_schema = current_schema() and view_name = any(%(views)s) and not materialized_only
order by view_name
