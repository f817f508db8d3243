-- Each subject and its first day: one step of the index a subject, however many days it has.
with recursive found as (
    (select subject, day from archive_coverage where dataset = %(dataset)s order by subject, day limit 1)
    union all
    select next.subject, next.day from found cross join lateral (
        select subject, day from archive_coverage
        where dataset = %(dataset)s and subject > found.subject order by subject, day limit 1
    ) as next
)
select subject, day from found
