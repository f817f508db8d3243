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
