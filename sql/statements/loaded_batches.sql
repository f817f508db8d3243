-- Which of these batches are loaded, the newest batch of the dataset, which ranges of journals are archived, which days between two
-- retention has dropped, and where some aggregates do not show the raw rows yet: [[first, last moment], …].
select array(select content_hash from archive_ledger where content_hash = any(%(hashes)s::text[])),
       coalesce((select max(batch_id) from archive_ledger where dataset = %(dataset)s), 0),
       ({ranges_as_json}),
       array({dropped_days}),
       array(select array[low, high] from ({stale_ranges}) as stale (low, high))
