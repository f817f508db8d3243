-- Fills: one row an order and moment; execution_id tells two fills from two reports of one.

create table trade_data (
    order_id     text collate "C" not null,
    "timestamp"  timestamptz not null,
    execution_id text not null,
    symbol       text collate "C" not null,
    side         text not null check (side in ('buy', 'sell')),
    quantity     numeric not null,
    price        numeric not null,
    commission   numeric not null,
    strategy     text not null,
    source       text not null,
    batch_id     bigint not null,
    primary key (order_id, "timestamp")
);
select create_hypertable('trade_data', by_range('timestamp', interval '1 day'), create_default_indexes => false);
alter table trade_data set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'symbol', timescaledb.orderby = '"timestamp"'
);

create materialized view trade_1d with (timescaledb.continuous, timescaledb.materialized_only = true) as
select symbol,
       side,
       time_bucket('1 day', "timestamp") as bucket,
       count(*) as fills,
       sum(quantity) as quantity,
       sum(quantity * price) as notional,
       sum(quantity * price) / sum(quantity) as vwap,
       sum(commission) as commission
from trade_data
group by symbol, side, time_bucket('1 day', "timestamp")
with no data;
