insert into archive_entry_hash (batch_id, dataset, first_ms, last_ms, hashes)
values (%(batch_id)s, %(dataset)s, %(first_ms)s, %(last_ms)s, %(hashes)s)
