-- Of these days those of which the hypertable has a chunk, a day long or not, and which retention has not closed.
select distinct asked.day from unnest(%(days)s::date[]) as asked (day)
join timescaledb_information.chunks as chunk
  on chunk.range_start < (asked.day + 1)::timestamp at time zone 'UTC' and chunk.range_end > asked.day::timestamp at time zone 'UTC'
where chunk.hypertable_schema = current_schema() and chunk.hypertable_name = %(table)s
  and not exists (select from archive_dropped where archive_dropped.dataset = %(dataset)s and archive_dropped.day = asked.day)
