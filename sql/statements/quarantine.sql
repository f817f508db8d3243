-- name: quarantine
insert into archive_quarantine (dataset, journal, entry_id, digest, kind, reason, payload, batch_id)
select %(dataset)s, journal, entry_id, digest, kind, reason, payload::json, %(batch_id)s
from unnest(%(journals)s::text[], %(entry_ids)s::text[], %(digests)s::text[], %(kinds)s::text[], %(reasons)s::text[],
            %(payloads)s::text[]) as rejected (journal, entry_id, digest, kind, reason, payload)
on conflict (dataset, journal, entry_id, digest) do nothing
returning journal, entry_id, digest

-- name: quarantine_again
-- Retried and rejected again: these keep waiting, with the new reason.
update archive_quarantine as known set kind = rejected.kind, reason = rejected.reason
from unnest(%(ids)s::bigint[], %(kinds)s::text[], %(reasons)s::text[]) as rejected (quarantine_id, kind, reason)
where known.quarantine_id = rejected.quarantine_id

-- name: quarantine_list
select quarantine_id, dataset, journal, entry_id, kind, reason, since, settled, settled_at from archive_quarantine
where settled is null and (%(dataset)s::text is null or dataset = %(dataset)s) and (%(kind)s::text is null or kind = %(kind)s)
order by quarantine_id desc
limit %(limit)s

-- name: quarantine_lock
-- Which entries of a retry still wait, locked against a discard. Found by their content, not by their number: after a restore a
-- number may belong to another entry.
select asked.at, known.quarantine_id, known.batch_id, known.settled
from unnest(%(journals)s::text[], %(entry_ids)s::text[], %(digests)s::text[]) with ordinality
     as asked (journal, entry_id, digest, at)
join archive_quarantine as known
  on known.journal = asked.journal and known.entry_id = asked.entry_id and known.digest = asked.digest
where known.dataset = %(dataset)s
order by known.quarantine_id
for update of known

-- name: quarantine_not_retried
-- The rejected entries of a dataset that did not become rows: still in quarantine, or discarded.
select quarantine_id, journal, entry_id, kind, reason, payload::text, batch_id, settled
from archive_quarantine
where dataset = %(dataset)s and (settled is null or settled = 'discarded')
order by quarantine_id

-- name: quarantine_of_file
-- What waits of a file's rows, by the digest of its content, which the ledger has as the run that made the batch.
select known.quarantine_id, known.entry_id from archive_quarantine as known
join archive_ledger as batch using (batch_id)
where known.dataset = %(dataset)s and known.settled is null and batch.origin = 'file' and batch.snapshot_run = %(file)s

-- name: quarantine_of_kind
select quarantine_id, dataset, settled from archive_quarantine
where settled is null and dataset = %(dataset)s and kind = %(kind)s
order by quarantine_id

-- name: quarantine_payloads
-- The waiting entries in quarantine, a page at a time.
select quarantine_id, payload::text from archive_quarantine
where dataset = %(dataset)s and settled is null and quarantine_id > %(after)s
order by quarantine_id
limit %(limit)s

-- name: quarantine_retried
-- The quarantined entries in these batches, which retried them.
select batch.batch_id, known.journal, known.entry_id, known.payload::text
from archive_ledger as batch
cross join lateral jsonb_to_recordset(batch.journals) as entry (journal text, first text)
join archive_quarantine as known
  on known.dataset = batch.dataset and known.journal = entry.journal and known.entry_id = entry.first
where batch.batch_id = any(%(batches)s::bigint[]) and batch.origin = 'quarantine' and known.settled = 'retried'

-- name: quarantine_settle
-- Locked in the order of their ids, as every other statement locks them.
with waiting as (
    select quarantine_id from archive_quarantine
    where quarantine_id = any(%(ids)s::bigint[]) and settled is null
    order by quarantine_id
    for update
)
update archive_quarantine as known
set settled = %(how)s, settled_at = now(), reason = known.reason || %(note)s
from waiting
where known.quarantine_id = waiting.quarantine_id
returning known.quarantine_id

-- name: quarantine_settled
-- Which of these entries exist, and which are settled.
select quarantine_id, dataset, settled from archive_quarantine where quarantine_id = any(%(ids)s::bigint[])
order by quarantine_id

-- name: quarantine_show
select quarantine_id, dataset, journal, entry_id, kind, reason, since, settled, settled_at, payload::text
from archive_quarantine
where quarantine_id = any(%(ids)s::bigint[])
order by quarantine_id

-- name: quarantine_of_later_first_day
-- Entries that were too old by a first day later than the present one: the reason names the day that was in force.
select quarantine_id from archive_quarantine
where settled is null and dataset = %(dataset)s and kind = 'far past'
  and substring(reason from 'first day partition ([-0-9]+)') > %(first_day)s
order by quarantine_id
