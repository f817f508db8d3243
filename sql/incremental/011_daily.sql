-- Daily history: one bar a symbol and day, from files. A chunk holds a year: of 500 symbols a day has no more than 500 rows, and
-- a chunk a day would cost more in locks, catalog and planning than in rows.

create table daily_data (
    symbol      text collate "C" not null,
    "timestamp" timestamptz not null,
    open        double precision not null,
    high        double precision not null,
    low         double precision not null,
    close       double precision not null,
    volume      double precision not null,
    source      text not null,
    batch_id    bigint not null,
    primary key (symbol, "timestamp")
);
select create_hypertable('daily_data', by_range('timestamp', interval '365 days'), create_default_indexes => false);
alter table daily_data set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'symbol', timescaledb.orderby = '"timestamp"'
);
comment on table daily_data is 'Daily bars from files; timestamp is midnight UTC of the day. Never added up with minutes.';
