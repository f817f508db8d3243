-- Days whose raw rows retention has dropped. Such a day is closed: its aggregates are kept as they are, and rows that come
-- late for it wait in quarantine.
create table archive_dropped (
    dataset    text collate "C" not null,
    day        date not null,
    rows       bigint not null,
    bytes      bigint not null,
    aggregates jsonb not null,
    cold       text,
    run_id     text not null,
    dropped_at timestamptz not null default now(),
    primary key (dataset, day)
);
comment on table archive_dropped is 'Days whose raw rows retention has dropped, written in the transaction of the drop.';
comment on column archive_dropped.rows is 'How many rows the chunk held; the ledger counts them as inserted for ever.';
comment on column archive_dropped.aggregates is 'Rows and fingerprint of each aggregate of the day: {aggregate: [rows, fingerprint]}.';
comment on column archive_dropped.cold is 'Where the rows were written before, if they were.';
