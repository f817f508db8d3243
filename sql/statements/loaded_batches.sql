-- Which of these batches are loaded, the newest batch of the dataset, and how far journals are archived.
select array(select content_hash from archive_ledger where content_hash = any(%(hashes)s::text[])),
       coalesce((select max(batch_id) from archive_ledger where dataset = %(dataset)s), 0),
       ({marks})
