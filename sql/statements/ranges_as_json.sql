-- The archived ranges of a dataset's journals, all or some: {journal: [[incarnation, after, last, anchor], …]}.
select coalesce(json_object_agg(journal, ranges), '{{}}') from (
    select journal, json_agg(json_build_array(incarnation, after_id, last_id, anchor)) from archive_range
    where dataset = %(dataset)s and (%(journals)s::text[] is null or journal = any(%(journals)s::text[]))
    group by journal
) as of_journal (journal, ranges)
