select journal, entry_id, highest_id from archive_watermark where dataset = %(dataset)s and journal = any(%(journals)s)
