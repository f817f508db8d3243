-- Nothing if the chunk has gone. Packing again what was added works on the whole chunk: segment by segment it would hide the
-- added rows from every transaction whose snapshot is older (readers), since it neither locks them out nor freezes its rows.
set local timescaledb.enable_segmentwise_recompression = off;
select compress_chunk(found, if_not_compressed => true) from to_regclass(%(chunk)s) as found where found is not null
