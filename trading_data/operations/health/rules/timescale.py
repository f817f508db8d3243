"""Thresholds of the archive tier.

Belongs here: limits and words. Does not: measuring (`operations.health.timescale`).
"""

from trading_data.operations.health.thresholds import COMPRESS, ERROR, Threshold, ask_archive, one_limit, two_limits

TIMESCALE: tuple[Threshold, ...] = (
    *two_limits(
        "timescale_disk",
        "timescale.disk.free_ratio",
        "free space on the archive's disk is below {limit} (now {value}); when it is full nothing is archived",
        "trading-data retention --dry-run",
        warn=0.10,
        error=0.03,
        priority=(610, 905),
        under=True,
    ),
    one_limit(
        "timescale_connections",
        "timescale.connections.ratio",
        "more than {limit} of the archive's connections are open (now {value}); at 100 % it refuses sessions",
        ask_archive("select application_name, state, count(*) from pg_stat_activity group by 1, 2"),
        limit=0.80,
        priority=370,
    ),
    one_limit(
        "timescale_lock_wait",
        "timescale.locks.longest_wait",
        "a session in the archive has waited for a lock for more than {limit} (now {value})",
        ask_archive(
            "select pid, pg_blocking_pids(pid), left(query, 80) from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0"
        ),
        limit=60,
        priority=380,
    ),
    one_limit(
        "timescale_long_transaction",
        "timescale.transactions.longest",
        "a transaction in the archive has been open for more than {limit} (now {value}); it holds locks and keeps dead rows",
        ask_archive(
            "select pid, xact_start, state, left(query, 80) from pg_stat_activity where xact_start is not null order by 2"
        ),
        limit=3600,
        priority=330,
    ),
    one_limit(
        "timescale_slow_statement",
        "timescale.statements.slowest",
        "a frequent statement of the archive takes more than {limit} on average (now {value})",
        ask_archive("select calls, mean_exec_time, left(query, 80) from pg_stat_statements order by 2 desc limit 10"),
        limit=10,
        priority=220,
    ),
    one_limit(
        "timescale_cache",
        "timescale.cache.hits",
        "less than {limit} of the archive's pages are found in memory (now {value}): raise shared_buffers",
        ask_archive("show shared_buffers"),
        limit=0.80,
        under=True,
        priority=210,
    ),
    one_limit(
        "timescale_dead_rows",
        "timescale.table.dead_rows",
        "more than {limit} of the rows of {subject} are dead (now {value})",
        ask_archive("vacuum analyze {subject}", owner=True),
        limit=0.20,
        priority=240,
    ),
    *two_limits(
        "timescale_oldest_transaction",
        "timescale.oldest_transaction",
        "the oldest unfrozen transaction of the archive is more than {limit} transactions old (now {value}); at two "
        "billion it refuses writes",
        ask_archive("vacuum freeze", owner=True),
        warn=500e6,
        error=1500e6,
        priority=(340, 915),
    ),
    one_limit(
        "timescale_chunks_overdue",
        "timescale.chunks.overdue",
        "{value} {many:chunk/chunks} of {subject} should have been compressed by now",
        COMPRESS,
        limit=0,
        priority=310,
    ),
    one_limit(
        "timescale_log_failing",
        "timescale.log.failing",
        "the last attempt to archive the archive's log failed: no recovery to a point in time, and its disk fills",
        ask_archive("select * from pg_stat_archiver"),
        limit=0,
        severity=ERROR,
        priority=800,
    ),
    one_limit(
        "timescale_replica_late",
        "timescale.replica.lag",
        "a replica of the archive is more than {limit} behind (now {value})",
        ask_archive("select application_name, state, replay_lag from pg_stat_replication"),
        limit=60,
        priority=390,
    ),
)
