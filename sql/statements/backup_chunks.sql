-- The ranges of the chunks of a hypertable, or of what a continuous aggregate is kept in, oldest first.
select c.chunk_schema || '.' || c.chunk_name, c.range_start, c.range_end
from timescaledb_information.chunks c
where (c.hypertable_schema, c.hypertable_name) in (
    select current_schema()::name, %(relation)s::name
    union all
    select a.materialization_hypertable_schema, a.materialization_hypertable_name
    from timescaledb_information.continuous_aggregates a
    where a.view_schema = current_schema() and a.view_name = %(relation)s::name)
order by c.range_start
