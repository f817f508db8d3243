-- No row if the chunk no longer exists. The whole chunk is recompressed: segmentwise recompression neither locks readers out nor freezes
-- its rows, and so hides the added rows from every transaction with an older snapshot.
set local timescaledb.enable_segmentwise_recompression = off;
select compress_chunk(found, if_not_compressed => true) from to_regclass(%(chunk)s) as found where found is not null
