-- The archive's rows that are put where another moment says, and are revisions by now: a compressed chunk lets no row move.
delete from {table} as known
using changed
where {changed_row} and changed.entry = any(%(moved)s)
  and known.{time} between %(low)s and %(high)s and known.{subject} = any(%(subjects)s)
