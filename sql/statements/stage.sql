-- Rows of the batch with their position in it.
create temporary table stage (like {table} including defaults, entry integer not null) on commit drop
