delete from archive_coverage where dataset = %(dataset)s and day = %(day)s
