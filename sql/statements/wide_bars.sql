-- Day by day the subjects whose minutes all lie on a grid that minutes would not keep to by accident, and how wide it is.
select day, subject, max(width)
from archive_coverage
join unnest(%(widths)s::int[], %(leasts)s::int[], %(grids)s::text[]) as grid (width, least, minutes_of)
  on rows >= least and minutes & ('x' || minutes_of)::bit(1440) = minutes
where dataset = %(dataset)s and day = any(%(days)s::date[]) and rows <= %(most)s
group by day, subject
order by day, subject
