insert into archive_ledger (
    batch_id, dataset, content_hash, origin, snapshot_run, load_run, drained_at, journals,
    offered, inserted, replaced, unchanged, quarantined, replayed, missing,
    subjects, first_timestamp, last_timestamp, days
) values (
    %(batch_id)s, %(dataset)s, %(content_hash)s, %(origin)s, %(snapshot_run)s, %(load_run)s, %(drained_at)s, %(journals)s,
    %(offered)s, %(inserted)s, %(replaced)s, %(unchanged)s, %(quarantined)s, %(replayed)s, %(missing)s,
    %(subjects)s, %(first_timestamp)s, %(last_timestamp)s, %(days)s
)
