create temporary table stage (like {table} including defaults) on commit drop
