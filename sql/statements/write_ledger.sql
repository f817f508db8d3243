-- The time is the clock's and not the transaction's, which may have waited long for its lock.
insert into archive_ledger (
    batch_id, dataset, content_hash, origin, snapshot_run, load_run, drained_at, archived_at, accepted_first, accepted_last, journals,
    offered, inserted, replaced, unchanged, quarantined, replayed, missing,
    subjects, first_timestamp, last_timestamp, days
) values (
    %(batch_id)s, %(dataset)s, %(content_hash)s, %(origin)s, %(snapshot_run)s, %(load_run)s, %(drained_at)s, clock_timestamp(), %(accepted_first)s, %(accepted_last)s,
    %(journals)s,
    %(offered)s, %(inserted)s, %(replaced)s, %(unchanged)s, %(quarantined)s, %(replayed)s, %(missing)s,
    %(subjects)s, %(first_timestamp)s, %(last_timestamp)s, %(days)s
)
