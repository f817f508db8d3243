-- The archived ranges of a dataset's journals, all or some.
select journal, incarnation, after_id, last_id, anchor, added, entries from archive_range
where dataset = %(dataset)s and (%(journals)s::text[] is null or journal = any(%(journals)s::text[]))
