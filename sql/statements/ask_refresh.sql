insert into archive_refresh (dataset, aggregate, day, low, high, batch_id)
select %(dataset)s, aggregate, day, low, high, %(batch_id)s
from unnest(%(aggregates)s::text[]) as aggregate,
     unnest(%(days)s::date[], %(lows)s::timestamptz[], %(highs)s::timestamptz[]) as touched (day, low, high)
