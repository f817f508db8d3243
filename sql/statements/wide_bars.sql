-- Per day, the subjects whose rows all lie on a grid, too many for an accident, and the width of the grid in minutes.
select day, subject, max(width)
from archive_coverage
join unnest(%(widths)s::int[], %(thresholds)s::int[], %(grids)s::text[]) as grid (width, threshold, minutes_of)
  on rows >= threshold and minutes & ('x' || minutes_of)::bit(1440) = minutes
where dataset = %(dataset)s and day = any(%(days)s::date[]) and rows <= %(most)s
group by day, subject
order by day, subject
