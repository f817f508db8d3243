-- Those of the days for which the hypertable has a chunk, one day long or not, and which retention has not dropped.
select distinct requested.day from unnest(%(days)s::date[]) as requested (day)
join timescaledb_information.chunks as chunk
  on chunk.range_start < (requested.day + 1)::timestamp at time zone 'UTC' and chunk.range_end > requested.day::timestamp at time zone 'UTC'
where chunk.hypertable_schema = current_schema() and chunk.hypertable_name = %(table)s
  and not exists (select from archive_dropped where archive_dropped.dataset = %(dataset)s and archive_dropped.day = requested.day)
