-- How far journals are archived, all of a dataset's or some: {journal: [last entry, highest entry]}.
select coalesce(json_object_agg(journal, json_build_array(entry_id, highest_id)), '{{}}') from archive_watermark
where dataset = %(dataset)s and (%(journals)s::text[] is null or journal = any(%(journals)s::text[]))
