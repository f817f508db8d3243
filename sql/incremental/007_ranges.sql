-- Which entries of each journal are archived: ranges, per incarnation of the journal, instead of one mark.

-- One row a journal and incarnation, as long as its ranges join. An incarnation is a number that grows each time a journal is
-- found to be another one than before. `anchor` is the digest of the entry `last_id`, empty where it is not known.
create table archive_range (
    dataset     text collate "C" not null,
    journal     text collate "C" not null,
    incarnation bigint not null,
    after_id    text collate "C" not null,
    last_id     text collate "C" not null,
    anchor      text not null,
    added       numeric,
    entries     bigint not null,
    batch_id    bigint not null,
    archived_at timestamptz not null default now(),
    primary key (dataset, journal, incarnation, after_id)
) with (fillfactor = 70);
comment on table archive_range is 'The archived entries of each journal: every one after after_id up to and with last_id.';

-- A mark of an earlier release becomes the range from the beginning up to it. Where a journal had gone back, the entries up to
-- the highest mark are those of the journal before.
insert into archive_range (dataset, journal, incarnation, after_id, last_id, anchor, added, entries, batch_id, archived_at)
select dataset, journal, 1, '0-0', highest_id, '', null::numeric, entries, batch_id, archived_at from archive_watermark
union all
select dataset, journal, 2, '0-0', entry_id, '', null::numeric, 0, batch_id, archived_at from archive_watermark
where entry_id <> highest_id;

drop table archive_watermark;
create view archive_watermark as
select distinct on (dataset, journal) dataset, journal, last_id as entry_id,
       sum(entries) over (partition by dataset, journal)::bigint as entries, batch_id, archived_at
from archive_range
order by dataset, journal, incarnation desc,
         split_part(last_id, '-', 1)::numeric desc, split_part(last_id, '-', 2)::numeric desc;
comment on view archive_watermark is 'The last archived entry of each journal: the end of its newest range. Nothing relies on it.';

-- When the entries of a batch were accepted, at the earliest and at the latest: which of two batches is newer.
alter table archive_ledger add column accepted_first timestamptz, add column accepted_last timestamptz;
comment on column archive_ledger.journals is
    'Which entries the batch holds: [{journal, incarnation, after, first, last, count, missing, anchor, added}].';
comment on column archive_ledger.accepted_first is 'When the first of the entries was accepted; null for batches of earlier releases.';

-- The entries of a batch that came from journals, four bytes each in their order (see archive/entry_hash.py): how an entry is recognised that
-- comes again in another incarnation of its journal.
create table archive_entry_hash (
    batch_id bigint primary key,
    dataset  text collate "C" not null,
    first_ms numeric not null,
    last_ms  numeric not null,
    hashes   bytea not null
);
alter table archive_entry_hash alter column hashes set storage external;
comment on table archive_entry_hash is 'Four bytes for each entry of a batch that came from journals; first_ms and last_ms bound their ids.';

-- Entries that are missing, and that somebody has looked into.
create table archive_acknowledged (
    dataset         text collate "C" not null,
    journal         text collate "C" not null,
    what            text collate "C" not null,
    entries         bigint not null,
    reason          text not null,
    acknowledged_at timestamptz not null default now(),
    primary key (dataset, journal, what)
);
comment on table archive_acknowledged is 'Missing entries and gaps of journals that somebody has acknowledged, and why.';
