-- What the archive holds per subject and day, which sources there are, where they disagree, and what vendors were asked.

-- One row a subject and UTC day that has rows, written in the transaction of its rows. A bit of `minutes` is set when its
-- minute of the day has a row.
create table archive_coverage (
    dataset text collate "C" not null,
    subject text collate "C" not null,
    day     date not null,
    rows    bigint not null,
    first   timestamptz not null,
    last    timestamptz not null,
    minutes bit(1440) not null,
    primary key (dataset, day, subject)
) with (fillfactor = 70);
create index archive_coverage_subject on archive_coverage (dataset, subject, day);
comment on table archive_coverage is 'What the archive holds per subject and UTC day.';

insert into archive_coverage (dataset, subject, day, rows, first, last, minutes)
select 'price', symbol, ("timestamp" at time zone 'UTC')::date, count(*), min("timestamp"), max("timestamp"),
       bit_or(set_bit(repeat('0', 1440)::bit(1440),
              (extract(epoch from "timestamp" at time zone 'UTC')::bigint % 86400 / 60)::int, 1))
from price_data group by 2, 3
union all
select 'trade', symbol, ("timestamp" at time zone 'UTC')::date, count(*), min("timestamp"), max("timestamp"),
       bit_or(set_bit(repeat('0', 1440)::bit(1440),
              (extract(epoch from "timestamp" at time zone 'UTC')::bigint % 86400 / 60)::int, 1))
from trade_data group by 2, 3
union all
select 'metrics', metric_name, ("timestamp" at time zone 'UTC')::date, count(*), min("timestamp"), max("timestamp"),
       bit_or(set_bit(repeat('0', 1440)::bit(1440),
              (extract(epoch from "timestamp" at time zone 'UTC')::bigint % 86400 / 60)::int, 1))
from metrics_data group by 2, 3;

-- The sources that ever brought a row: a load asks for better ones only where there are any.
create table archive_source (
    dataset text collate "C" not null,
    source  text collate "C" not null,
    primary key (dataset, source)
);
comment on table archive_source is 'The sources that ever brought a row of a dataset.';
insert into archive_source (dataset, source) select distinct 'price', source from price_data;

-- Rows of one source that gave way to another's, by day and pair: how many, and how many differed beyond the tolerance.
create table archive_disagreement (
    dataset  text collate "C" not null,
    day      date not null,
    winner   text collate "C" not null,
    loser    text collate "C" not null,
    compared bigint not null,
    beyond   bigint not null,
    largest  double precision not null,
    primary key (dataset, day, winner, loser)
);
comment on table archive_disagreement is 'Rows of one source that gave way to another, by day and pair of sources.';

-- What a vendor said when it was asked for a subject's day. The newest answer stands.
create table archive_asked (
    dataset  text collate "C" not null,
    subject  text collate "C" not null,
    day      date not null,
    vendor   text collate "C" not null,
    outcome  text not null check (outcome in ('answered', 'refused', 'failed')),
    rows     bigint not null,
    attempts bigint not null default 1,
    said     text not null,
    asked_at timestamptz not null default now(),
    primary key (dataset, subject, day, vendor)
);
comment on table archive_asked is 'What a vendor said when it was asked for the day of a subject.';
