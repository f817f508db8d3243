-- Subjects as a list, not as a range: TimescaleDB 2.23 fails on a range of a segment-by column here.
update {table} as known set {assignments}
from changed
where {changed_row}
  and known.{time} between %(low)s and %(high)s and known.{subject} = any(%(subjects)s)
