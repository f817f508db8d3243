create table NAME_data (
    symbol      text collate "C" not null,
    "timestamp" timestamptz not null,
    value       double precision not null,
    batch_id    bigint not null,
    primary key (symbol, "timestamp")
);
select create_hypertable('NAME_data', by_range('timestamp', interval '1 day'), create_default_indexes => false);
alter table NAME_data set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'symbol', timescaledb.orderby = '"timestamp"'
);
