-- Several fills of one order at one moment: each is kept, at a microsecond of its own.

-- Null where the row is kept at the moment that was reported. No default, so that compressed chunks stay as they are.
alter table trade_data add column reported timestamptz;
comment on column trade_data.reported is
    'The moment that was reported, where another fill of the order has it: "timestamp" is then a free one of the same minute.';

-- Which subjects have rows on a day, four bytes each (see archive/subjects.py), of datasets whose rows have an identity: where the
-- versions of an entry lie that comes, whatever moment it says. Several rows a day: small ones are merged as it grows.
create table archive_subject_hash (
    number  bigint generated always as identity primary key,
    dataset text collate "C" not null,
    day     date not null,
    hashes  bytea not null
);
create index archive_subject_hash_day on archive_subject_hash (dataset, day);
alter table archive_subject_hash alter column hashes set storage external;
comment on table archive_subject_hash is 'Four bytes for each subject that has rows on a day, of datasets whose rows have an identity.';

insert into archive_subject_hash (dataset, day, hashes)
select 'trade', day, string_agg(substr(sha256(convert_to(order_id, 'UTF8')), 1, 4), '')
from (select distinct order_id, ("timestamp" at time zone 'UTC')::date as day from trade_data) as filled
group by day;
