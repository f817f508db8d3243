-- name: chunks
-- The chunks of a hypertable, with their sizes before and after compression and on disk now.
select c.chunk_schema || '.' || c.chunk_name, (c.range_start at time zone 'UTC')::date, c.is_compressed,
       coalesce(s.before_compression_total_bytes, d.total_bytes), coalesce(s.after_compression_total_bytes, d.total_bytes),
       c.range_start, c.range_end, d.total_bytes
from timescaledb_information.chunks c
left join chunk_columnstore_stats(%(table)s::regclass) s on s.chunk_schema = c.chunk_schema and s.chunk_name = c.chunk_name
left join chunks_detailed_size(%(table)s::regclass) d on d.chunk_schema = c.chunk_schema and d.chunk_name = c.chunk_name
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s
order by c.range_start

-- name: chunks_aged
-- Chunks that end before a moment and are not compressed, or are compressed but have (or had) rows outside the columnstore.
select c.chunk_schema, c.chunk_name, c.is_compressed from timescaledb_information.chunks c
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s and c.range_end <= %(before)s
  and (not c.is_compressed or pg_relation_size(to_regclass(format('%%I.%%I', c.chunk_schema, c.chunk_name))) > 0)
order by c.range_start

-- name: chunks_between
select found::text from show_chunks(%(table)s::regclass, older_than => %(end)s::timestamptz, newer_than => %(start)s::timestamptz) as found

-- name: chunk_is_partial
-- Whether a compressed chunk has rows written after its compression: only these lie in the table itself.
select exists (select from only {chunk})

-- name: compress_chunk
-- No row if the chunk no longer exists. The whole chunk is recompressed: segmentwise recompression neither locks readers out nor freezes
-- its rows, and so hides the added rows from every transaction with an older snapshot.
set local timescaledb.enable_segmentwise_recompression = off;
select compress_chunk(found, if_not_compressed => true) from to_regclass(%(chunk)s) as found where found is not null

-- name: columnstore_settings
select segmentby, orderby from timescaledb_information.hypertable_columnstore_settings
where hypertable = to_regclass(%(table)s)

-- name: chunk_interval
select time_interval from timescaledb_information.dimensions
where hypertable_schema = current_schema() and hypertable_name = %(table)s and dimension_number = 1

-- name: day_sizes
-- Sizes of the chunks of some days: before and after compression of compressed chunks, else the present size.
select (c.range_start at time zone 'UTC')::date, c.is_compressed,
       coalesce(s.before_compression_total_bytes, pg_total_relation_size(format('%%I.%%I', c.chunk_schema, c.chunk_name)::regclass)),
       coalesce(s.after_compression_total_bytes, 0)
from timescaledb_information.chunks c
left join chunk_columnstore_stats(%(table)s::regclass) s
  on c.is_compressed and s.chunk_schema = c.chunk_schema and s.chunk_name = c.chunk_name
where c.hypertable_schema = current_schema() and c.hypertable_name = %(table)s
  and c.range_start < %(end)s and c.range_end > %(start)s

-- name: disagreements
-- Disagreements between sources, by day and pair: rows compared, rows beyond the tolerance, the largest relative difference.
select day, winner, loser, compared, beyond, largest from archive_disagreement
where dataset = %(dataset)s and day >= %(first)s and day <= %(last)s
order by day, beyond desc, winner, loser

-- name: drop_chunks
select drop_chunks(%(table)s::regclass, older_than => %(end)s::timestamptz, newer_than => %(start)s::timestamptz)

-- name: wide_bars
-- Per day, the subjects whose rows all lie on a grid, too many for an accident, and the width of the grid in minutes.
select day, subject, max(width)
from archive_coverage
join unnest(%(widths)s::int[], %(thresholds)s::int[], %(grids)s::text[]) as grid (width, threshold, minutes_of)
  on rows >= threshold and minutes & ('x' || minutes_of)::bit(1440) = minutes
where dataset = %(dataset)s and day = any(%(days)s::date[]) and rows <= %(most)s
group by day, subject
order by day, subject

-- name: export_rows
-- Rows of a range in the order of time and key, so that the same rows always give the same file.
copy (
    select {columns} from {table} where {time} >= %(start)s and {time} < %(end)s order by {time}, {subject}
) to stdout (format csv)

-- name: note_dropped
-- A dropped day needs no confirmations of its rows any more.
with forgotten as (
    delete from archive_said_again where dataset = %(dataset)s and day = %(day)s
)
insert into archive_dropped (dataset, day, rows, bytes, aggregates, cold, run_id)
values (%(dataset)s, %(day)s, %(rows)s, %(bytes)s, %(aggregates)s, %(cold)s, %(run_id)s)

-- name: dropped_days
-- Days between two, both inclusive, whose rows retention has dropped.
select day from archive_dropped where dataset = %(dataset)s and day >= %(first)s and day <= %(last)s

-- name: policy_jobs
-- TimescaleDB's own jobs on a hypertable or on one of its aggregates.
select job_id, proc_name, hypertable_name from timescaledb_information.jobs
where hypertable_schema = current_schema() and hypertable_name = any(%(views)s::text[] || %(table)s::text)
   or hypertable_name in (
       select materialization_hypertable_name from timescaledb_information.continuous_aggregates
       where view_schema = current_schema() and view_name = any(%(views)s))
order by job_id
