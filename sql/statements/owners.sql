-- Who has the keys of a batch already.
select known.{subject}, (extract(epoch from known.{time}) * 1000000)::bigint, known.{identity}
from {table} as known
join unnest(%(subjects)s::text[], %(times)s::timestamptz[]) as asked (subject, moment)
  on known.{subject} = asked.subject and known.{time} = asked.moment
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
