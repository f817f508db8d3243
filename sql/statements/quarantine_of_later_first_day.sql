-- Entries that were too old by a first day later than the present one: the reason names the day that was in force.
select quarantine_id from archive_quarantine
where settled is null and dataset = %(dataset)s and kind = 'far past'
  and substring(reason from 'first day partition ([-0-9]+)') > %(first_day)s
order by quarantine_id
