insert into archive_disagreement as known_pair (dataset, day, winner, loser, compared, beyond, largest)
select %(dataset)s, (known.{time} at time zone 'UTC')::date, known.source, revision.old->>'source', count(*),
       count(*) filter (where {difference} > %(tolerance)s), max({difference})
from archive_revision as revision
join {table} as known on known.{subject} = revision.subject and known.{time} = revision."timestamp"
where revision.revision_id > %(before)s and revision.dataset = %(dataset)s
  and known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
  and known.source <> revision.old->>'source'
group by 2, 3, 4
on conflict (dataset, day, winner, loser) do update
set compared = known_pair.compared + excluded.compared, beyond = known_pair.beyond + excluded.beyond,
    largest = greatest(known_pair.largest, excluded.largest)
