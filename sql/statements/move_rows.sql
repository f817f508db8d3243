-- Staged rows replace the archive's rows of another reported time (was). Rows that are not kept at the time they report are stored
-- at another moment.
select {move}(jsonb_agg(
    (to_jsonb(stage) - 'entry') || jsonb_build_object('was', moved.was)
    || case when moved.stored is null then '{{}}' else jsonb_build_object({time_name}, moved.stored, 'reported', stage.{time}) end
))
from stage
join unnest(%(entries)s::int[], %(was)s::timestamptz[], %(stored)s::timestamptz[]) as moved (entry, was, stored)
  on moved.entry = stage.entry
