-- Measurements: one row a metric and moment.

create table metrics_data (
    metric_name text collate "C" not null,
    "timestamp" timestamptz not null,
    value       double precision not null,
    unit        text not null,
    batch_id    bigint not null,
    primary key (metric_name, "timestamp")
);
select create_hypertable('metrics_data', by_range('timestamp', interval '1 day'), create_default_indexes => false);
alter table metrics_data set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'metric_name', timescaledb.orderby = '"timestamp"'
);

create materialized view metrics_1h with (timescaledb.continuous, timescaledb.materialized_only = true) as
select metric_name,
       time_bucket('1 hour', "timestamp") as bucket,
       min(value) as minimum,
       max(value) as maximum,
       avg(value) as average,
       count(*) as samples
from metrics_data
group by metric_name, time_bucket('1 hour', "timestamp")
with no data;
