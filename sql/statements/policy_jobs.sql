-- TimescaleDB's own jobs on a hypertable or on one of its aggregates.
select job_id, proc_name, hypertable_name from timescaledb_information.jobs
where hypertable_schema = current_schema() and hypertable_name = any(%(views)s::text[] || %(table)s::text)
   or hypertable_name in (
       select materialization_hypertable_name from timescaledb_information.continuous_aggregates
       where view_schema = current_schema() and view_name = any(%(views)s))
order by job_id
