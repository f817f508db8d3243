-- Which subjects have rows on which days.
select number, day, hashes from archive_subject_hash where dataset = %(dataset)s
