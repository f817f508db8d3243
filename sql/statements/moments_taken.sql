-- The moments at which the archive keeps rows of the staged rows' subjects, in the minutes of these rows.
select known.{subject}, array_agg((extract(epoch from known.{time}) * 1000000)::bigint)
from {table} as known
join (select distinct {subject}, date_trunc('minute', {time}) as minute from stage where entry = any(%(entries)s)) as wanted
  on known.{subject} = wanted.{subject} and date_trunc('minute', known.{time}) = wanted.minute
where known.{time} between %(low)s and %(high)s and known.{subject} between %(first)s and %(last)s
group by known.{subject}
