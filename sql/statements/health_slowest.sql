-- The slowest statements of this database by their mean, from pg_stat_statements; nothing that may hold a password.
select left(regexp_replace(query, '\s+', ' ', 'g'), 200), calls, mean_exec_time / 1000, total_exec_time / 1000
from {statements}
where dbid = (select oid from pg_database where datname = current_database()) and calls > 0 and query !~* 'password'
order by calls >= 10 desc, mean_exec_time desc limit 10
