-- Rows of the stage take the place of the archive's that say another moment. Where one is kept at another moment than it reports, that
-- is stored; was is the moment that the archive's row reports.
select {move}(jsonb_agg(
    (to_jsonb(stage) - 'entry') || jsonb_build_object('was', moved.was)
    || case when moved.stored is null then '{{}}' else jsonb_build_object({time_name}, moved.stored, 'reported', stage.{time}) end
))
from stage
join unnest(%(entries)s::int[], %(was)s::timestamptz[], %(stored)s::timestamptz[]) as moved (entry, was, stored)
  on moved.entry = stage.entry
