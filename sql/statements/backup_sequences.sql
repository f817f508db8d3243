-- Where every sequence that somebody made stands.
select schemaname || '.' || sequencename, last_value from pg_sequences
where schemaname !~ '^(pg_|_timescaledb|timescaledb_)' order by 1
