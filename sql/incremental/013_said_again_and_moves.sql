-- Which rows were said again, row by row; and how a row moves to another day.

-- An entry that says what its row says changes nothing and leaves no trace on the row. So what was accepted before it and comes after
-- it would look newer than the row: this says of which rows that is so.
create table archive_said_again (
    batch_id bigint not null,
    dataset  text collate "C" not null,
    day      date not null,
    entries  integer,
    said     bytea,
    primary key (batch_id, day)
);
create index archive_said_again_day on archive_said_again (dataset, day);
alter table archive_said_again alter column said set storage external;
comment on table archive_said_again is 'Which rows of a day a batch said again, and until when (see archive/said_again.py).';
comment on column archive_said_again.said is 'Null for batches of earlier releases, which may have said any row of the day again.';

insert into archive_said_again (batch_id, dataset, day)
select batch_id, dataset, day::date
from archive_ledger cross join lateral jsonb_each(days) as of_day (day, counts)
where unchanged > 0 and (counts->>'unchanged')::bigint > 0;

-- A fill whose moment is corrected is kept elsewhere from then on, on another day perhaps, and TimescaleDB lets no row change its time
-- in a compressed chunk. So it is removed and added again. This does both, and keeps what the row said, so that the writer, who may
-- call it, needs no right to delete rows: each row that goes comes back, and is a revision.
create function move_trade_data(fills jsonb) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
    of_minute timestamptz;
    removed   bigint;
    gone      bigint := 0;
begin
    for of_minute in
        select distinct date_trunc('minute', (fill->>'was')::timestamptz, 'UTC')
        from jsonb_array_elements(fills) as fill order by 1
    loop
        with old as (
            delete from public.trade_data as known
            using jsonb_to_recordset(fills) as fill (order_id text, execution_id text, was timestamptz, batch_id bigint)
            where known.order_id = fill.order_id and known.execution_id = fill.execution_id
              and date_trunc('minute', fill.was, 'UTC') = of_minute
              and known."timestamp" >= of_minute and known."timestamp" < of_minute + interval '1 minute'
            returning known.*, fill.batch_id as replaced_by
        )
        insert into public.archive_revision (dataset, subject, "timestamp", old, old_batch, replaced_by)
        select 'trade', old.order_id, coalesce(old.reported, old."timestamp"),
               (to_jsonb(old) - '{batch_id,reported,replaced_by}'::text[])
               || jsonb_build_object('timestamp', coalesce(old.reported, old."timestamp")),
               old.batch_id, old.replaced_by
        from old;
        get diagnostics removed = row_count;
        gone := gone + removed;
    end loop;
    if gone <> jsonb_array_length(fills) then
        raise exception '% fills were to be moved, % were there', jsonb_array_length(fills), gone;
    end if;
    insert into public.trade_data select * from jsonb_populate_recordset(null::public.trade_data, fills);
    return gone;
end
$$;
revoke all on function move_trade_data(jsonb) from public;
comment on function move_trade_data(jsonb) is
    'Has fills, told by order and execution, take the place of the rows that say was, which become revisions.';
