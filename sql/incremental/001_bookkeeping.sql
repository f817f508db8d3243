-- What is archived, how far, from which batch and run; what was refused; what a correction replaced.

create sequence archive_batch;

-- One row a batch, written in the transaction of its rows.
create table archive_ledger (
    batch_id        bigint primary key,
    dataset         text collate "C" not null,
    content_hash    text collate "C" not null unique,
    origin          text not null check (origin in ('journal', 'latest', 'file', 'vendor', 'quarantine')),
    snapshot_run    text not null,
    load_run        text not null,
    drained_at      timestamptz not null,
    archived_at     timestamptz not null default now(),
    journals        jsonb not null,
    offered         bigint not null,
    inserted        bigint not null,
    replaced        bigint not null,
    unchanged       bigint not null,
    quarantined     bigint not null,
    replayed        bigint not null,
    missing         bigint not null,
    subjects        bigint not null,
    first_timestamp timestamptz,
    last_timestamp  timestamptz,
    days            jsonb not null,
    check (offered = inserted + replaced + unchanged + quarantined + replayed)
);
create index archive_ledger_dataset on archive_ledger (dataset, batch_id);
comment on table archive_ledger is 'One row a batch, written in the transaction of its rows.';
comment on column archive_ledger.journals is 'Which journal entries the batch holds: [{journal, after, first, last, count, missing, rewound}].';
comment on column archive_ledger.replayed is 'Entries that an earlier batch had archived already.';
comment on column archive_ledger.missing is 'Entries that had gone from a journal before they could be drained.';
comment on column archive_ledger.days is 'The counts by UTC day of the rows: {day: {inserted, replaced, unchanged, quarantined}}.';

-- The last archived entry of each journal. highest_id never goes back; entry_id does when a journal did.
create table archive_watermark (
    dataset     text collate "C" not null,
    journal     text collate "C" not null,
    entry_id    text not null,
    highest_id  text not null,
    entries     bigint not null,
    batch_id    bigint not null,
    archived_at timestamptz not null default now(),
    primary key (dataset, journal)
);
comment on table archive_watermark is 'The last archived entry of each journal.';

-- Each rejected entry, whole, with the reason. json, not jsonb: any text must come through, NUL and broken UTF-8 included.
create table archive_quarantine (
    quarantine_id bigint generated always as identity primary key,
    dataset       text collate "C" not null,
    journal       text collate "C" not null,
    entry_id      text not null,
    digest        text not null,
    kind          text not null,
    reason        text not null,
    payload       json not null,
    batch_id      bigint not null,
    since         timestamptz not null default now(),
    settled       text check (settled in ('retried', 'discarded')),
    settled_at    timestamptz,
    unique (dataset, journal, entry_id, digest)
);
create index archive_quarantine_waiting on archive_quarantine (dataset, kind) where settled is null;
comment on table archive_quarantine is 'Each rejected entry, whole, with the reason.';

-- The old values of each replaced row.
create table archive_revision (
    revision_id bigint generated always as identity primary key,
    dataset     text collate "C" not null,
    subject     text collate "C" not null,
    "timestamp" timestamptz not null,
    old         jsonb not null,
    old_batch   bigint not null,
    replaced_by bigint not null,
    replaced_at timestamptz not null default now()
);
create index archive_revision_key on archive_revision (dataset, subject, "timestamp");
comment on table archive_revision is 'The old values of each replaced row, and which batch replaced them when.';

-- Ranges of raw rows that changed and that an aggregate has not been refreshed for; a row goes when it has.
create table archive_refresh (
    refresh_id bigint generated always as identity primary key,
    dataset    text collate "C" not null,
    aggregate  text collate "C" not null,
    day        date not null,
    low        timestamptz not null,
    high       timestamptz not null,
    batch_id   bigint not null,
    since      timestamptz not null default now()
);
create index archive_refresh_aggregate on archive_refresh (aggregate, day);
comment on table archive_refresh is 'Ranges that changed and for which an aggregate is yet to be refreshed.';
